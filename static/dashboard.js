// The dashboard: reading charts with keys and pointer, opening tables, custom dates.
// The figures read out are those of the widget's own table, so that there is one truth.
const tables = figure => document.getElementById(figure.dataset.rows)?.querySelector("table");

function read(figure, index) {
  const table = tables(figure), box = figure.querySelector(".read");
  if (!table || !box) return;
  const rows = table.tBodies[0].rows, at = Math.max(0, Math.min(rows.length - 1, index));
  figure.dataset.at = at;
  const title = document.createElement("b"), body = document.createElement("table");
  title.textContent = rows[at].cells[0].textContent;
  [...table.tHead.rows[0].cells].slice(1).forEach((head, place) => {
    const line = body.insertRow();
    line.insertCell().textContent = head.textContent;
    line.insertCell().textContent = rows[at].cells[place + 1].textContent;
  });
  box.replaceChildren(title, body);
  box.hidden = false;
  const middle = (at + 0.5) / rows.length * figure.clientWidth, right = middle + 16;
  box.style.left = `${right + box.offsetWidth > figure.clientWidth ? Math.max(0, middle - 16 - box.offsetWidth) : right}px`;
}

function stop(figure) {
  delete figure.dataset.at;
  const box = figure.querySelector(".read");
  if (box) box.hidden = true;
}

document.addEventListener("keydown", event => {
  const figure = event.target;
  if (!figure.matches?.("figure[data-rows]")) return;
  const last = (tables(figure)?.tBodies[0].rows.length ?? 0) - 1, at = Number(figure.dataset.at ?? -1);
  const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (next !== undefined) { read(figure, next); event.preventDefault(); }
  if (event.key === "Escape") stop(figure);
});
document.addEventListener("focusout", event => { if (event.target.matches?.("figure[data-rows]")) stop(event.target); });
document.addEventListener("pointermove", event => {
  const over = event.target.closest?.("figure[data-rows]");
  for (const figure of document.querySelectorAll("figure[data-at]"))
    if (figure !== over && figure !== document.activeElement) stop(figure);
  const rows = over && tables(over)?.tBodies[0].rows.length;
  if (!rows) return;
  const place = Math.floor((event.clientX - over.getBoundingClientRect().left) / over.clientWidth * rows);
  if (place !== Number(over.dataset.at ?? -1) && place >= 0 && place < rows) read(over, place);
});

// "View as table" opens the rows of its widget and goes there.
document.addEventListener("click", event => {
  const link = event.target.closest?.("[data-rows-of]");
  if (!link) return;
  event.preventDefault();
  link.closest("[popover]")?.hidePopover();
  const rows = document.getElementById(`rows-${link.dataset.rowsOf}`);
  rows.closest("details").open = true;
  rows.focus();
});


// After an error of the filters focus goes to what is wrong.
document.addEventListener("htmx:afterSettle", event => {
  if (event.detail.target?.id === "widgets") document.querySelector("[data-focus]")?.focus();
});
