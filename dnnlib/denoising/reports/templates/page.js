"use strict";
document.documentElement.classList.add("js");

// The slider: at 0 the first picture is seen, at 100 the second, at 200 the third; between them one wipes over the other.
for (const viewer of document.querySelectorAll(".viewer")) {
  const slider = viewer.querySelector("input"), told = viewer.querySelector("output");
  const pictures = [...viewer.querySelectorAll(".stack img")];
  const show = () => {
    const place = Number(slider.value) / 100;
    pictures.forEach((picture, i) => {
      const seen = Math.min(1, Math.max(0, place - i + 1));
      picture.style.clipPath = i ? `inset(0 ${100 * (1 - seen)}% 0 0)` : "none";
    });
    const right = Math.floor(place), share = Math.round(100 * (place - right));
    const names = pictures.map((picture) => picture.dataset.name);
    told.textContent = share ? `${names[right + 1]} (left ${share} %), ${names[right]} (right)` : names[right];
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  slider.addEventListener("input", show);
  show();
}

// Tables that sort by a click on a heading.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)], [p, q] = [parseFloat(x), parseFloat(y)];
        if (cell.dataset.kind === "number") return (Number.isNaN(p) ? -Infinity : p) - (Number.isNaN(q) ? -Infinity : q);
        return x.localeCompare(y);
      };
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b));
      body.append(...rows);
    });
  });
}
