"""DICOM, NIfTI and MetaImage files become PNG with their values, spacing and a hash of the patient."""

import builtins
import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from tests.data.factories import noise, write_image
from usaggr.data.sources.classes import read_classes
from usaggr.data.sources.convert import Conversion, FrameChoice, check_axes, convert_folder
from usaggr.data.sources.masks import read_masks
from usaggr.errors import ConfigError, DataError


def write_dicom(path: Path, pixels: NDArray[Any], **changes: Any) -> Path:
    """Write a DICOM file: (H, W), or (frames, H, W); `None` removes an element."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    bits = pixels.dtype.itemsize * 8
    values = {
        "Rows": pixels.shape[-2], "Columns": pixels.shape[-1], "SamplesPerPixel": 1, "BitsAllocated": bits,
        "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PhotometricInterpretation": "MONOCHROME2", "PatientID": "17", "StudyInstanceUID": "1.2.3.4",
        "BurnedInAnnotation": "NO", "PixelSpacing": [0.2, 0.1], "PixelData": pixels.tobytes(), **changes,
    }  # fmt: skip
    if pixels.ndim == 3:
        values.setdefault("NumberOfFrames", pixels.shape[0])
    for name, value in values.items():
        if value is not None:
            setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def convert(tmp_path: Path, frames: str = "none") -> Conversion:
    return convert_folder(tmp_path / "in", tmp_path / "out", FrameChoice.parse(frames))


def convert_one(tmp_path: Path, pixels: NDArray[Any], **changes: Any) -> NDArray[Any]:
    write_dicom(tmp_path / "in" / "a.dcm", pixels, **changes)
    convert(tmp_path)
    return np.asarray(Image.open(tmp_path / "out" / "a.png"))


GRAY = noise(0, 6, 8)


def test_a_dicom_file_keeps_its_pixels_spacing_and_a_hash_of_its_patient(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in" / "benign" / "IM0001", GRAY)
    write_dicom(tmp_path / "in" / "benign" / "IM0002", noise(1, 6, 8), PatientID=" 17.0 ")
    write_dicom(
        tmp_path / "in" / "malignant" / "b.dcm",
        noise(2, 6, 8),
        PatientID="18",
        BurnedInAnnotation="YES",
        WindowCenter=9,
    )
    write_image(tmp_path / "in" / "malignant" / "c.png", noise(3))
    (tmp_path / "in" / "notes.txt").write_text("x")
    conversion = convert(tmp_path)
    table = conversion.add_columns(read_classes(conversion.folder, "t"))
    assert [row.image.relative_to(tmp_path / "out").as_posix() for row in table.rows] == [
        "benign/IM0001.png", "benign/IM0002.png", "malignant/b.png", "malignant/c.png"
    ]  # fmt: skip
    first, second, third, fourth = (row.columns for row in table.rows)
    assert first["pixel_spacing"] == "[0.1, 0.2]"
    assert first == second
    assert first["subject_id"] != third["subject_id"]
    assert "17" not in first["subject_id"] or len(first["subject_id"]) == 17
    assert fourth == {}
    assert np.array_equal(np.asarray(Image.open(table.rows[0].image)), GRAY)
    assert [line for line in table.notes if line.startswith("1 of 3")] == [
        "1 of 3 files have a window for display, which is not applied",
        "1 of 3 files say that text is burned into the pixels (BurnedInAnnotation=YES); pixels are not changed",
    ]
    assert [entry.reason for entry in table.left_out] == ["has the suffix .txt, which is not an image"]


def test_studies_are_subjects_where_the_id_of_the_patient_names_nobody(tmp_path: Path) -> None:
    for number, study in enumerate(("1.2", "1.2", "1.3")):
        write_dicom(tmp_path / "in" / f"{number}.dcm", GRAY, PatientID="Anonymous", StudyInstanceUID=study)
    conversion = convert(tmp_path)
    first, second, third = (conversion.columns[path]["subject_id"] for path in sorted(conversion.columns))
    assert first == second != third
    assert "3 of 3 files have a PatientID that names nobody, such as ANONYMOUS; each study counts as a subject" in (
        conversion.notes
    )


def test_gray_values_are_right_for_every_photometric_interpretation(tmp_path: Path) -> None:
    deep = (noise(1, 6, 8).astype(np.uint16) * 16) + 5
    assert np.array_equal(convert_one(tmp_path / "1", GRAY, PhotometricInterpretation="MONOCHROME1"), 255 - GRAY)
    assert np.array_equal(convert_one(tmp_path / "2", deep, BitsStored=12, HighBit=11), deep)
    inverted = convert_one(tmp_path / "3", deep, BitsStored=12, HighBit=11, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(inverted, 4095 - deep)
    rescaled = convert_one(tmp_path / "4", GRAY, RescaleSlope=2, RescaleIntercept=10)
    assert np.array_equal(rescaled, GRAY.astype(int) * 2 + 10)
    signed = GRAY.astype(np.int16) - 128
    scaled = convert_one(tmp_path / "5", signed, BitsStored=8, HighBit=7)
    assert np.array_equal(scaled, np.round(GRAY / 255 * 65535).astype(np.uint16))


def test_frames_with_one_fractional_slope_are_scaled_alike_whatever_their_values(tmp_path: Path) -> None:
    even = GRAY // 2 * 2  # half of it is whole
    mixed = even.copy()
    mixed[0, 0] |= 1
    first, second = (
        convert_one(tmp_path / name, pixels, RescaleSlope="0.5", RescaleIntercept="0").astype(int)
        for name, pixels in (("even", even), ("mixed", mixed))
    )
    assert np.array_equal(first, np.round(even * 0.5 / 127.5 * 65535))
    assert np.array_equal(first.flat[1:], second.flat[1:])
    assert np.array_equal(convert_one(tmp_path / "slope alone", mixed, RescaleSlope="0.5"), mixed), "as pydicom"


def test_colors_become_rgb(tmp_path: Path) -> None:
    rgb = noise(2, 6, 8, 3)
    color = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PixelData": rgb.tobytes()}
    assert np.array_equal(convert_one(tmp_path / "1", GRAY, PhotometricInterpretation="RGB", **color), rgb)
    white = np.tile(np.array([255, 128, 128], np.uint8), (6, 8, 1))  # Y, Cb, Cr
    color["PixelData"] = white.tobytes()
    result = convert_one(tmp_path / "2", GRAY, PhotometricInterpretation="YBR_FULL", **color)
    assert (result == 255).all()


def test_palettes_become_colors(tmp_path: Path) -> None:
    indices = GRAY % 4
    tables = {"Red": [0, 0xFFFF, 0, 0x8080], "Green": [0, 0, 0xFFFF, 0x8080], "Blue": [0, 0, 0, 0x8080]}
    palette: dict[str, Any] = {}
    for name, values in tables.items():
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = np.array(values, "<u2").tobytes()
    result = convert_one(tmp_path, indices, PhotometricInterpretation="PALETTE COLOR", **palette)
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [128, 128, 128]], np.uint8)
    assert np.array_equal(result, colors[indices])


def test_colors_of_8_bits_in_a_palette_of_16_keep_their_values(tmp_path: Path) -> None:
    palette: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = np.arange(256, dtype="<u2").tobytes()
    result = convert_one(tmp_path, GRAY, PhotometricInterpretation="PALETTE COLOR", **palette)
    assert np.array_equal(result, np.stack([GRAY] * 3, axis=-1))


def test_values_of_a_table_of_the_modality_may_have_more_bits_than_the_pixels(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 16], "US"
    table.add_new("LUTData", "OW", (np.arange(256, dtype="<u2") * 16).tobytes())
    assert np.array_equal(convert_one(tmp_path, GRAY, ModalityLUTSequence=[table]), GRAY.astype(int) * 16)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Columns": None}, "has a DICOM header that cannot be read"),
        ({"NumberOfFrames": 2_000_000_000}, "has 2000000000 frames by its header; 1 to 100000 are read"),
        ({"NumberOfFrames": -3}, "has -3 frames by its header"),
        ({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 15}, "has values whose bits are shifted (HighBit)"),
    ],
)
def test_headers_that_are_not_supported_are_named(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    write_dicom(tmp_path / "in" / "good.dcm", GRAY)
    write_dicom(tmp_path / "in" / "bad.dcm", GRAY, **changes)
    (left_out,) = convert(tmp_path, "all").left_out
    assert (Path(left_out.file).name, left_out.reason[: len(reason)]) == ("bad.dcm", reason)


def test_compressed_pixels_are_decoded(tmp_path: Path) -> None:
    runs = write_dicom(tmp_path / "in" / "runs.dcm", GRAY)
    data = pydicom.dcmread(runs)
    data.compress(RLELossless)
    data.save_as(runs)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(np.array([200, 100, 0], np.uint8), (16, 16, 1))).save(buffer, "JPEG", quality=95)
    color = write_dicom(tmp_path / "in" / "color.dcm", noise(0, 16, 16), SamplesPerPixel=3, PlanarConfiguration=0,
                        PhotometricInterpretation="YBR_FULL_422")  # fmt: skip
    data = pydicom.dcmread(color)
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
    data["PixelData"].VR = "OB"
    data.save_as(color)
    assert convert(tmp_path).left_out == ()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "runs.png")), GRAY)
    pixels = np.asarray(Image.open(tmp_path / "out" / "color.png")).astype(int)
    assert abs(pixels - [200, 100, 0]).max() <= 3


def test_the_scale_of_an_ultrasound_region_takes_precedence(tmp_path: Path) -> None:
    region = Dataset()
    region.RegionSpatialFormat, region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = 1, 3, 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.012, -0.013
    write_dicom(tmp_path / "in" / "a.dcm", GRAY, SequenceOfUltrasoundRegions=[region])
    (columns,) = convert(tmp_path).columns.values()
    assert columns["pixel_spacing"] == "[0.12, 0.13]"


@pytest.mark.parametrize(
    ("frames", "names"),
    [("first", ["a.png"]), ("middle", ["a.png"]), ("last", ["a.png"]), ("2", ["a.png"]),
     ("1,3,99", ["a_f0001.png", "a_f0003.png"]), ("all", ["a_f0001.png", "a_f0002.png", "a_f0003.png"])],
)  # fmt: skip
def test_frames_of_a_cine_are_chosen(tmp_path: Path, frames: str, names: list[str]) -> None:
    cine = np.stack([np.full((6, 8), value, np.uint8) for value in (10, 20, 30)])
    write_dicom(tmp_path / "in" / "a.dcm", cine)
    conversion = convert(tmp_path, frames)
    assert sorted(path.name for path in conversion.columns) == names
    values = [int(np.asarray(Image.open(path)).max()) for path in sorted(conversion.columns)]
    assert values == {"first": [10], "middle": [20], "last": [30], "2": [20], "1,3,99": [10, 30]}.get(
        frames, [10, 20, 30]
    )


def test_files_that_cannot_be_converted_are_named(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in" / "good.dcm", GRAY)
    write_dicom(tmp_path / "in" / "cine.dcm", np.stack([GRAY, GRAY]))
    write_dicom(tmp_path / "in" / "report.dcm", GRAY, PixelData=None)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    video = write_dicom(tmp_path / "in" / "video.dcm", GRAY, Rows=4)
    data = pydicom.dcmread(video)
    data.file_meta.TransferSyntaxUID = MPEG2MPML
    data.PixelData = pydicom.encaps.encapsulate([b"video"])
    data["PixelData"].VR = "OB"
    data.save_as(video)
    (tmp_path / "in" / "text.dcm").write_text("no image")
    reasons = {Path(entry.file).name: entry.reason for entry in convert(tmp_path).left_out}
    assert reasons["cine.dcm"].startswith("has several frames; choose with --frames")
    assert reasons["report.dcm"] == "is a DICOM file without an image"
    assert reasons["broken.nii.gz"].startswith("is not a NIfTI file that can be read")
    assert reasons["video.dcm"].startswith("is compressed as MPEG2 Main Profile / Main Level, which cannot be decoded")
    assert set(reasons) == {"cine.dcm", "report.dcm", "broken.nii.gz", "text.dcm", "video.dcm"}
    assert not any("\n" in reason for reason in reasons.values())


def test_nifti_axes_are_columns_and_rows(tmp_path: Path) -> None:
    image: Any = nibabel.Nifti1Image(GRAY.T, np.diag([0.3, 0.4, 1, 1]))
    image.header.set_xyzt_units("mm")
    (tmp_path / "in").mkdir()
    nibabel.save(image, tmp_path / "in" / "p1.nii.gz")  # type: ignore[attr-defined]
    conversion = convert(tmp_path)
    assert conversion.columns == {tmp_path / "out" / "p1.png": {"pixel_spacing": "[0.3, 0.4]"}}
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "p1.png")), GRAY)


def test_all_frames_of_a_nifti_file_have_the_same_number_of_bits(tmp_path: Path) -> None:
    frames = np.stack([np.full((8, 6), 200), np.full((8, 6), 1000)], axis=-1).astype(np.int16)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(frames, np.eye(4)), tmp_path / "in" / "cine.nii.gz")  # type: ignore[attr-defined]
    paths = sorted(convert(tmp_path, "all").columns)
    # With 8 bits, 200 would become brighter than 1000 of 10 bits.
    pixels = [np.asarray(Image.open(path)) for path in paths]
    assert [(values.dtype.name, int(values.max())) for values in pixels] == [("uint16", 200), ("uint16", 1000)]


def test_a_nifti_cine_may_have_an_axis_of_one_entry_before_time(tmp_path: Path) -> None:
    frames = np.stack([np.full((8, 6, 1), value) for value in (10, 20, 30)], axis=-1).astype(np.uint8)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(frames, np.eye(4)), tmp_path / "in" / "cine.nii")  # type: ignore[attr-defined]
    paths = sorted(convert(tmp_path, "all").columns)
    assert [np.unique(np.asarray(Image.open(path))).tolist() for path in paths] == [[10], [20], [30]]
    assert np.asarray(Image.open(paths[0])).shape == (6, 8)


def test_a_mask_that_is_stored_mirrored_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, x in (("a", -1), ("a_gt", -1), ("b", -1), ("b_gt", 1)):
        image: Any = nibabel.Nifti1Image((GRAY > 100).astype(np.uint8).T, np.diag([x, -1, 1, 1]))
        nibabel.save(image, tmp_path / "in" / f"{name}.nii.gz")  # type: ignore[attr-defined]
    conversion = convert(tmp_path)
    assert "x and y have different directions in the patient (LP 3, RP 1 images); images are not turned" in (
        conversion.notes
    )
    table = read_masks(conversion.folder, conversion.folder, "t", mask_name="{name}_gt")
    with pytest.raises(DataError, match=r"b_gt\.png: x and y have the directions RP, but LP in .*b\.png"):
        check_axes(table, [conversion])
    check_axes(replace(table, rows=table.rows[:1]), [conversion])


def test_directions_of_meta_images_are_those_of_nifti(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, matrix in (("a", "1 0 0 0 1 0 0 0 1"), ("b", "-1 0 0 1"), ("c", "0 -1 1 0"), ("d", "nan 0 0 1")):
        header = f"DimSize = 8 6\nElementType = MET_UCHAR\nTransformMatrix = {matrix}\nElementDataFile = LOCAL\n"
        (tmp_path / "in" / f"{name}.mha").write_bytes(header.encode() + GRAY.tobytes())
    assert {path.stem: axes for path, axes in convert(tmp_path).axes.items()} == {"a": "LP", "b": "RP", "c": "AL"}


@pytest.mark.parametrize("size", [16, -1])
def test_meta_images_may_have_bytes_before_their_pixels(tmp_path: Path, size: int) -> None:
    (tmp_path / "in").mkdir()
    header = f"DimSize = 8 6\nHeaderSize = {size}\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "in" / "a.mhd").write_text(header)
    (tmp_path / "in" / "a.raw").write_bytes(b"0123456789abcdef" + GRAY.tobytes())
    convert(tmp_path)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), GRAY)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("BinaryData = False\nElementType = MET_UCHAR\n", "has pixels that are stored as text"),
        ("HeaderSize = -7\nElementType = MET_UCHAR\n", "is a MetaImage file with a HeaderSize that is not understood"),
        ("ElementNumberOfChannels = 3\nElementType = MET_USHORT\n", "has colors of more than 8 bits"),
    ],
)
def test_meta_images_that_are_not_supported_are_named(tmp_path: Path, header: str, reason: str) -> None:
    write_dicom(tmp_path / "in" / "good.dcm", GRAY)
    (tmp_path / "in" / "bad.mhd").write_text(f"DimSize = 8 6\n{header}ElementDataFile = bad.raw\n")
    (tmp_path / "in" / "bad.raw").write_bytes(bytes(600))
    (left_out,) = convert(tmp_path).left_out
    assert left_out.reason.startswith(reason)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_meta_images_are_read_from_their_own_folder(tmp_path: Path, is_compressed: bool) -> None:
    (tmp_path / "in").mkdir()
    header = (f"ObjectType = Image\nNDims = 3\nDimSize = 8 6 1\nElementType = MET_UCHAR\nElementSpacing = 0.3 0.4 1\n"
              f"CompressedData = {is_compressed}\nElementDataFile = ../elsewhere/a.raw\n")  # fmt: skip
    (tmp_path / "in" / "a.mhd").write_text(header)
    (tmp_path / "in" / "a.raw").write_bytes(zlib.compress(GRAY.tobytes()) if is_compressed else GRAY.tobytes())
    conversion = convert(tmp_path)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), GRAY)
    assert list(conversion.columns.values()) == [{"pixel_spacing": "[0.3, 0.4]"}]
    assert conversion.left_out == ()


def test_converted_images_are_not_replaced_by_others(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in" / "a.dcm", GRAY)
    convert(tmp_path)
    convert(tmp_path)
    write_dicom(tmp_path / "in" / "a.dcm", noise(9, 6, 8))
    with pytest.raises(DataError, match=r"a\.png exists with other pixels"):
        convert(tmp_path)
    with pytest.raises(DataError, match="is inside"):
        convert_folder(tmp_path / "in", tmp_path / "in" / "out", FrameChoice())


def test_a_missing_package_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom(tmp_path / "in" / "a.dcm", GRAY)
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "pydicom":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"^--convert: DICOM files need pydicom; pip install 'usaggr\[medical\]'$"):
        convert(tmp_path)


def test_wrong_choices_of_frames_are_refused() -> None:
    for text in ("some", "0", "1,x", ""):
        with pytest.raises(ConfigError, match="--frames: "):
            FrameChoice.parse(text)
