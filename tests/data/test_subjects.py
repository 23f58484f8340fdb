from usaggr.data.index import IndexRow
from usaggr.data.subjects import Subjects


def row(task_id: str, path: str, subject: str = "") -> IndexRow:
    cells = {"task_id": task_id, "image_path": path}
    return IndexRow("a.csv", 2, {**cells, "subject_id": subject} if subject else cells)


def test_the_index_comes_before_the_pattern_and_the_pattern_before_the_image() -> None:
    subjects = Subjects({"planes": r"(Patient\d+)"})
    assert subjects.of(row("planes", "../p/Patient00123_Plane1.png", "s1"), "hash") == "s1"
    assert subjects.of(row("planes", "../p/Patient00123_Plane1.png"), "hash") == "Patient00123"
    assert subjects.of(row("other", "../p/Patient00123_Plane1.png"), "hash") == "hash"


def test_a_patient_is_the_same_in_every_task() -> None:
    subjects = Subjects({"planes": r"(Patient\d+)", "femur": r"Patient\d+"})
    assert subjects.of(row("planes", "../p/Patient007_1.png"), "a") == subjects.of(
        row("femur", "../f/x_Patient007.png"), "b"
    )


def test_only_the_file_name_is_asked() -> None:
    subjects = Subjects({"t": r"^(.+)_\d+\.[^.]+$"})
    assert subjects.of(row("t", "../video_9/clip_a_017.png"), "hash") == "clip_a"


def test_names_that_do_not_tell_are_counted_in_one_line_a_task() -> None:
    subjects = Subjects({"t": r"(Patient\d+)?\.png", "u": "x"})
    assert subjects.of(row("t", "../a.png"), "hash a") == "hash a"  # the group took no part in the match
    assert subjects.of(row("t", "../b.jpg"), "hash b") == "hash b"
    assert subjects.of(row("t", "../Patient1.png"), "hash c") == "Patient1"
    (warning,) = subjects.warnings()
    assert warning.startswith("task t: data.subject_patterns finds no subject in the names of 2 of 3 images")
