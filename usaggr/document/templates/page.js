"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");

  // Light or dark: as the system has it, until the reader chooses.
  const scheme = document.getElementById("scheme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const store = {
    get: () => { try { return localStorage.getItem("usaggr-scheme"); } catch { return null; } },
    set: (name) => { try { localStorage.setItem("usaggr-scheme", name); } catch { /* no storage */ } },
  };
  const isDark = () => (root.dataset.scheme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => {
    scheme.textContent = isDark() ? "light" : "dark";
    scheme.setAttribute("aria-label", `show the page in ${scheme.textContent} colors`);
  };
  if (["light", "dark"].includes(store.get())) root.dataset.scheme = store.get();
  scheme.hidden = false;
  label();
  scheme.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    store.set(root.dataset.scheme);
    label();
  });
  system.addEventListener("change", label);

  // The contents are folded where they would fill the screen, and after a choice there.
  const contents = document.querySelector("nav details");
  const wide = window.matchMedia("(min-width: 1100px)");
  const fold = () => { contents.open = wide.matches; };
  fold();
  wide.addEventListener("change", fold);
  contents.addEventListener("click", (event) => { if (!wide.matches && event.target.closest("a")) contents.open = false; });

  // Beside the page the contents show the chapter that is read: the last one that begins in the upper part of the window.
  const chapters = [...document.querySelectorAll("main > section")];
  const entries = [...document.querySelectorAll("nav details > ol > li")];
  let asked = false;
  const follow = () => {
    asked = false;
    const begun = chapters.filter((chapter) => chapter.getBoundingClientRect().top < window.innerHeight / 3).length;
    entries.forEach((entry, place) => entry.classList.toggle("current", place === begun - 1));
  };
  follow();
  window.addEventListener("scroll", () => {
    if (!asked) window.requestAnimationFrame(follow);
    asked = true;
  }, { passive: true });

  // On paper everything is unfolded, and folded again after it.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((item) => { item.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((item) => { item.open = false; }));

  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const sort = (rows, column, numeric, down) => {
    const key = (row) => row.cells[column].dataset.sort;
    const order = numeric ? (a, b) => Number(a) - Number(b) : collator.compare;
    const keyed = rows.map((row, place) => ({ row, place, key: key(row) }));
    keyed.sort((a, b) => {
      if (a.key === "" || b.key === "") return Number(a.key === "") - Number(b.key === "") || a.place - b.place;
      return (down ? -1 : 1) * order(a.key, b.key) || a.place - b.place;
    });
    return keyed.map((item) => item.row);
  };

  document.querySelectorAll("table").forEach((table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...sort(rows, column, "numeric" in head.dataset, down));
    }));

    const controls = table.closest(".table").querySelector(".controls");
    if (!controls) return;
    const input = controls.querySelector("input");
    const shown = controls.querySelector(".shown");
    const buttons = [...controls.querySelectorAll("button")];
    const pressed = (button) => button.getAttribute("aria-pressed") === "true";
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(buttons.filter(pressed).map((button) => button.dataset.kind));
      let count = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const kept = words.every((word) => text.includes(word)) &&
          (!kinds.size || [...row.cells].some((cell) => kinds.has(cell.dataset.kind)));
        row.hidden = !kept;
        count += Number(kept);
      });
      shown.textContent = count < rows.length ? `${count} of ${rows.length} rows` : "";
    };
    input.addEventListener("input", filter);
    buttons.forEach((button) => button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(!pressed(button)));
      filter();
    }));
  });
})();
