// Sorting: a press on a column's head sorts by it, a second press the other way round; what has no number comes last.
const detailOf = (row) => (row.nextElementSibling?.classList.contains("detail") ? row.nextElementSibling : null);
const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("detail"));
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      // Numbers begin with the highest, names with the first letter.
      const first = column === 0 ? "ascending" : "descending";
      const second = column === 0 ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      const sign = order === "ascending" ? 1 : -1;
      const rows = rowsOf(body).map((row, i) => [value(row, column), i, row, detailOf(row)]);
      rows.sort(([a, i], [b, j]) => {
        if (a === null || b === null) return a === b ? i - j : a === null ? 1 : -1;
        const by = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return sign * by || i - j;
      });
      body.append(...rows.flatMap(([, , row, detail]) => (detail ? [row, detail] : [row])));
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
    });
  });

  // The filter shows the clips whose name has every word of it.
  const section = table.closest("section");
  const filter = section.querySelector(".filter"), count = section.querySelector(".count");
  filter?.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = rowsOf(body);
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].textContent.toLowerCase();
      const hidden = !words.every((word) => name.includes(word));
      row.hidden = hidden;
      const detail = detailOf(row);
      if (detail) detail.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    count.textContent = shown === rows.length ? `${shown} clips` : `${shown} of ${rows.length} clips`;
  });

  // A row's video opens below it.
  const around = table.parentElement;
  const fit = () => around.style.setProperty("--visible", `${around.clientWidth}px`);
  new ResizeObserver(fit).observe(around);
  for (const button of table.querySelectorAll("button.play")) {
    button.addEventListener("click", () => {
      const row = button.closest("tr"), detail = detailOf(row);
      button.setAttribute("aria-expanded", String(!detail));
      if (detail) {
        detail.querySelector(".player").player?.close();
        detail.remove();
        return;
      }
      const below = document.createElement("tr"), cell = document.createElement("td"), host = document.createElement("div");
      below.className = "detail";
      cell.colSpan = row.cells.length;
      host.className = "player";
      host.dataset.clip = button.dataset.clip;
      host.dataset.name = row.cells[0].querySelector(".clip").textContent;
      cell.append(host);
      below.append(cell);
      row.after(below);
      new Player(host).play();
      below.scrollIntoView({ block: "nearest" });
    });
  }
}
