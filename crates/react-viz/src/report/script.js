"use strict";
// Sorting: a press on a column's head sorts by it, a second press the other way round; what has no number comes last.
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
      const order = head.ariaSort === first ? second : first;
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row, i) => [value(row, column), i, row]);
      rows.sort(([a, i], [b, j]) => {
        if (a === null || b === null) return a === b ? i - j : a === null ? 1 : -1;
        const by = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return sign * by || i - j;
      });
      body.append(...rows.map(([, , row]) => row));
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
    });
  });
}
// One video at a time.
const videos = [...document.querySelectorAll("video")];
for (const video of videos) {
  video.addEventListener("play", () => videos.forEach((other) => other === video || other.pause()));
}
