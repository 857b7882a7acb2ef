// Tables sort by a column when its head is pressed: upwards, downwards, in the order of the page.
// Where a row with nothing but its first cell heads a group of rows, each group sorts by itself.

const SORTED = ["ascending", "descending", "none"];

/** Return what a row is sorted by: the number that its cell begins with, else the text. */
function readKey(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = /^[+−-]?[\d,]*\.?\d+(?=\s|$)/.exec(text); // no hash that begins with digits
  return number ? parseFloat(number[0].replace("−", "-").replaceAll(",", "")) : text;
}

function sortRows(rows, column, order) {
  if (order === "none") return rows;
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((one, other) => {
    const [a, b] = [readKey(one, column), readKey(other, column)];
    if (typeof a !== typeof b) return typeof a === "string" ? 1 : -1; // not measured: last
    return sign * (a > b ? 1 : a < b ? -1 : 0);
  });
}

/** Return rows in groups that sort by themselves; the head of a group is a group, so it stays. */
function groupRows(rows) {
  const groups = [[]];
  for (const row of rows) {
    const heads = [...row.cells].slice(1).every((cell) => !cell.textContent.trim());
    if (heads) groups.push([row], []);
    else groups.at(-1).push(row);
  }
  return groups;
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const groups = groupRows(body.rows);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent.trim(); // a paragraph may not stand in a button
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = SORTED[(SORTED.indexOf(head.getAttribute("aria-sort")) + 1) % SORTED.length];
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", order);
      body.append(...groups.flatMap((rows) => sortRows(rows, column, order)));
    });
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll('table[id^="table-"], table.sortable').forEach(makeSortable);
});
