// The report page: reading the chart with keys and pointer, and where focus goes after a change.
// The figures read out are those of the table, so that there is one truth on the page.
let at = -1;

const parts = () => {
  const figure = document.getElementById("chart"), table = document.getElementById("pivot");
  const heads = table ? [...table.tHead.rows[1].cells] : [];
  const places = Number(figure?.dataset.places) || heads.length;
  return figure && heads.length ? { figure, table, heads, places, box: figure.querySelector(".read") } : null;
};

const line = (label, value, swatch) => {
  const row = document.createElement("tr"), name = row.insertCell(), number = row.insertCell();
  if (swatch) name.append(swatch.cloneNode(), " ");
  name.append(label);
  number.textContent = value;
  return row;
};

function read(index) {
  const page = parts();
  if (!page) return;
  const { figure, table, heads, places, box } = page;
  at = Math.max(0, Math.min(places - 1, index));
  const title = document.createElement("b"), rows = document.createElement("table");
  const ahead = document.querySelector(`#ahead tr[data-at="${at}"]`);
  if (heads[at]) {
    const open = heads[at].classList.contains("prov");
    const lead = Number(table.dataset.lead);
    title.textContent = heads[at].textContent.trim().replace(/\s+/g, " ") + (open ? " · can still change" : "");
    for (const row of table.tBodies[0].querySelectorAll("tr[data-drawn]"))
      rows.append(line(row.cells[0].textContent.trim(), row.cells[at + lead].textContent.trim(), row.querySelector(".sw")));
    if (table.tFoot) rows.append(line("Total", table.tFoot.rows[0].cells[at + lead].textContent.trim()));
  } else title.textContent = ahead.cells[0].textContent + " · forecast";
  if (ahead) rows.append(line("Expected", ahead.cells[1].textContent), line("Eight of ten", ahead.cells[2].textContent));
  box.replaceChildren(title, rows);
  box.hidden = false;
  const middle = (at + 0.5) / places * figure.clientWidth, right = middle + 16;
  box.style.left = `${right + box.offsetWidth > figure.clientWidth ? Math.max(0, middle - 16 - box.offsetWidth) : right}px`;
}

function stop() {
  at = -1;
  const page = parts();
  if (page) page.box.hidden = true;
}

document.addEventListener("keydown", event => {
  if (event.target.id !== "chart") return;
  const last = parts()?.places - 1;
  const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (next !== undefined) { read(next); event.preventDefault(); }
  if (event.key === "Escape") stop();
});
document.addEventListener("focusout", event => { if (event.target.id === "chart") stop(); });
document.addEventListener("pointermove", event => {
  const figure = event.target.closest?.("#chart"), page = figure && parts();
  if (!page) return void (document.activeElement?.id === "chart" || at < 0 || stop());
  const place = Math.floor((event.clientX - figure.getBoundingClientRect().left) / figure.clientWidth * page.places);
  if (place !== at && place >= 0 && place < page.places) read(place);
});


// Keys on a filter: Delete removes it.
document.addEventListener("keydown", event => {
  if (event.key === "Delete") event.target.closest?.(".chip")?.querySelector("[data-drop]").click();
});

// After a swap focus goes to what was asked for: an editor, an error, or back to the filters.
let dropped = false;
document.addEventListener("click", event => { dropped = Boolean(event.target.closest?.("[data-drop], [data-editor] button")); });
document.addEventListener("htmx:afterSettle", event => {
  if (event.detail.target?.id !== "result") return;
  document.title = `${document.getElementById("title").textContent} · Spendglass`;
  // What was left out must be seen, and the menu in which it was chosen covers it.
  if (document.getElementById("dropped")) document.querySelector(".q-menu:popover-open")?.hidePopover();
  const target = document.querySelector("[data-focus]") || (dropped && document.getElementById("q-add"));
  if (target) target.focus();
  dropped = false;
});

// The search box above a long list of choices. Without it the list stands in its sections.
function find(input) {
  const list = document.getElementById(input.dataset.find);
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of list.querySelectorAll("details")) {
    section.dataset.open ??= String(section.open);
    let shown = 0;
    for (const option of section.querySelectorAll("[data-words]")) {
      const text = option.dataset.words.toLowerCase();
      option.hidden = !words.every(word => text.includes(word));
      shown += !option.hidden;
    }
    section.hidden = !shown;
    section.open = words.length ? Boolean(shown) : section.dataset.open === "true";
    count += shown;
  }
  list.querySelector("[data-none]").hidden = count > 0;
  list.querySelector("[data-found]").textContent = words.length ? `${count} found` : "";
}
document.addEventListener("input", event => { if (event.target.dataset.find) find(event.target); });
// Searching changes no setting: the form neither reloads nor submits for it.
document.addEventListener("change", event => { if (event.target.dataset?.find) event.stopPropagation(); }, true);
document.addEventListener("keydown", event => {
  const input = event.target;
  if (!input.dataset?.find) return;
  if (event.key === "Enter") event.preventDefault();
  if (event.key === "ArrowDown") {
    document.getElementById(input.dataset.find).querySelector("[data-words]:not([hidden]) input")?.focus();
    event.preventDefault();
  }
}, true);
