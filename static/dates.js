// Custom dates of a report or dashboard. Nothing runs while someone types: Enter or the button takes
// both dates. A range that is unfinished or reversed says so beside the fields and is not sent.
const groupOf = element => element?.closest?.("[data-dates]");
const fields = group => ["from", "to"].map(name => group.querySelector(`[name="${name}"]`));
const custom = form => form.querySelector('[name="range"][value="custom"]');

const problem = group => {
  const [from, to] = fields(group);
  for (const field of [from, to])
    if (!field.value) return [field, field.validity.badInput ? "This day does not exist or is unfinished." : "Enter both days."];
  return from.value > to.value ? [from, "The first day is after the last day."] : [];
};

function show(group, [field, text = ""] = []) {
  for (const each of fields(group)) each.toggleAttribute("aria-invalid", each === field);
  group.querySelector("[role=alert]").textContent = text;
}

// Take both dates, or say what is wrong with them. Returns whether the form may be sent.
function take(group) {
  const wrong = problem(group);
  show(group, wrong);
  if (wrong.length) { wrong[0].focus(); return false; }
  for (const field of fields(group)) field.defaultValue = field.value;
  custom(group.closest("form")).checked = true;
  return true;
}

// Before htmx sees it: typing changes no setting.
document.addEventListener("change", event => {
  const group = groupOf(event.target);
  if (group) return event.stopPropagation();
  const form = event.target.form, dates = form?.querySelector("[data-dates]");
  if (dates && event.target.name === "range" && event.target.value === "custom" && !take(dates)) event.stopPropagation();
}, true);
document.addEventListener("keydown", event => {
  const group = groupOf(event.target);
  if (!group || event.key !== "Enter" || event.target.matches("button")) return;
  event.preventDefault();
  if (take(group)) group.closest("form").requestSubmit();
});
document.addEventListener("click", event => {
  const group = event.target.closest?.("[data-use-dates]") && groupOf(event.target);
  if (group && !take(group)) event.preventDefault();
});
// What was typed and not used goes when the menu closes, so that no other change sends it.
document.addEventListener("toggle", event => {
  const group = event.newState === "closed" && event.target.querySelector?.("[data-dates]");
  if (!group) return;
  for (const field of fields(group)) field.value = field.defaultValue;
  show(group);
}, true);
