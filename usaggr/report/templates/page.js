"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");

  // Light or dark: as the system has it, until the reader chooses.
  const scheme = document.getElementById("scheme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const store = { get: () => { try { return localStorage.getItem("usaggr-scheme"); } catch { return null; } },
                  set: (name) => { try { localStorage.setItem("usaggr-scheme", name); } catch { /* no storage */ } } };
  const isDark = () => (root.dataset.scheme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { scheme.textContent = isDark() ? "light" : "dark";
                        scheme.setAttribute("aria-label", `show the page in ${scheme.textContent} colours`); };
  if (["light", "dark"].includes(store.get())) root.dataset.scheme = store.get();
  scheme.hidden = false;
  label();
  scheme.addEventListener("click", () => { root.dataset.scheme = isDark() ? "light" : "dark"; store.set(root.dataset.scheme); label(); });
  system.addEventListener("change", label);

  // The contents are folded where they would fill the screen; everything is unfolded on paper.
  if (window.matchMedia("(max-width: 1099px)").matches) document.querySelector("nav details").open = false;
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((item) => { item.open = true; }));

  // A number is what a text begins with, with a true minus and thousands apart; what is missing comes last.
  const value = (cell) => {
    const text = (cell.dataset.sort ?? cell.textContent).trim();
    if (!text || text === "–" || text === "missing") return null;
    const found = text.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1").match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?(?![\w:])/i);
    return found ? Number(found[0]) : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  };

  document.querySelectorAll("table").forEach((table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row, place) => ({ row, place, key: value(row.cells[column]) }));
      keyed.sort((a, b) => {
        const order = compare(a.key, b.key);
        return (down && a.key !== null && b.key !== null ? -order : order) || a.place - b.place;
      });
      body.append(...keyed.map((item) => item.row));
    }));

    const controls = table.closest(".table").querySelector(".controls");
    if (!controls) return;
    const input = controls.querySelector("input");
    const shown = controls.querySelector(".shown");
    const buttons = [...controls.querySelectorAll("button")];
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = buttons.filter((button) => button.getAttribute("aria-pressed") === "true").map((button) => button.dataset.kind);
      let count = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const kept = words.every((word) => text.includes(word)) &&
          (!kinds.length || kinds.some((kind) => row.querySelector(`td[data-kind="${kind}"]`)));
        row.hidden = !kept;
        count += kept ? 1 : 0;
      });
      shown.textContent = count < rows.length ? `${count} of ${rows.length} rows` : "";
    };
    input.addEventListener("input", filter);
    buttons.forEach((button) => button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      filter();
    }));
  });
})();
