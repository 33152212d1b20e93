"""Components of pages: block tags that render `templates/components/` around their content.

    {% load components %}
    {% table "Member|Role|Requests:num|Actions:hidden" label="Members" cards=True %}
      {% for member in members %}<tr>…</tr>{% endfor %}
    {% endtable %}

Two components have no content and are plain includes: `components/field.html` takes a form field,
`components/pager.html` a page of a paginator.
"""

from dataclasses import dataclass

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()

# Icon of a note by its tone, where the template names no other.
_ICONS = {"bad": "fail", "warn": "warn", "good": "ok", "": "info"}


@dataclass(frozen=True)
class Column:
    """Column of a table, written as `Label`, `Label:num` or `Label:hidden`.

    A number is aligned at its end. A hidden label is read by screen readers only.
    """

    label: str
    is_number: bool = False
    is_hidden: bool = False

    @classmethod
    def parse(cls, text: str) -> "Column":
        label, _, kind = text.partition(":")
        if kind not in ("", "num", "hidden"):
            raise template.TemplateSyntaxError(f"A column is num or hidden, not {kind}.")
        return cls(label, kind == "num", kind == "hidden")


@register.simple_block_tag
def table(
    content: str,
    columns: str,
    label: str = "",
    labelled_by: str = "",
    caption: str = "",
    cards: bool = False,
    name: str = "",
) -> SafeString:
    """Render a table in a region that scrolls sideways; the content are its rows.

    `label` or the id `labelled_by` names the region. With `cards`, a row becomes a card on a phone,
    so each cell needs `data-l`. `name` is the id of the table.
    """
    context = {
        "content": content,
        "columns": [Column.parse(column) for column in columns.split("|")],
        "label": label,
        "labelled_by": labelled_by,
        "caption": caption,
        "cards": cards,
        "name": name,
    }
    return render_to_string("components/table.html", context)


@register.simple_block_tag
def note(
    content: str,
    tone: str = "",
    icon: str = "",
    layout: str = "",
    is_alert: bool = False,
    name: str = "",
    takes_focus: bool = False,
) -> SafeString:
    """Render a message with its icon. `tone` is bad, warn, good or "" for information.

    `layout` holds further classes, such as block for one with space below. An alert is read out at
    once. `takes_focus` puts the keyboard on it.
    """
    context = {
        "content": content,
        "tone": tone,
        "icon": icon or _ICONS[tone],
        "layout": layout,
        "is_alert": is_alert,
        "name": name,
        "takes_focus": takes_focus,
    }
    return render_to_string("components/note.html", context)


@register.simple_block_tag
def status(content: str, tone: str, icon: str, plain: bool = False) -> SafeString:
    """Render a state with its icon; `plain` leaves out the frame."""
    context = {"content": content, "tone": tone, "icon": icon, "plain": plain}
    return SafeString(render_to_string("components/status.html", context).strip())


@register.simple_block_tag
def empty_state(content: str, title: str, icon: str = "dash", level: int = 2) -> SafeString:
    """Render what stands where there is nothing: a title, and what to do as the content."""
    context = {"content": content, "title": title, "icon": icon, "level": level}
    return render_to_string("components/empty_state.html", context)


@register.simple_block_tag
def panel(content: str, title: str, layout: str = "", name: str = "", level: int = 2) -> SafeString:
    """Render a section with a heading. `name` is the id of the heading, which labels it."""
    context = {"content": content, "title": title, "layout": layout, "name": name, "level": level}
    return render_to_string("components/panel.html", context)


@register.simple_block_tag(takes_context=True)
def dialog(
    context: template.Context,
    content: str,
    action: str,
    title: str,
    submit: str,
    cancel_url: str,
    subject: object = "",
    is_danger: bool = False,
) -> SafeString:
    """Render the form of a dialog: heading, content, and its two buttons.

    With a `subject` the heading names it: `title="Rename" subject=label` is "Rename my-org". A
    dangerous one asks, "Remove Ada?", and puts the keyboard on Cancel.
    """
    values = {
        "content": content,
        "action": action,
        "title": title,
        "submit": submit,
        "cancel_url": cancel_url,
        "subject": subject,
        "is_danger": is_danger,
        "csrf_token": context.get("csrf_token"),
    }
    return render_to_string("components/dialog.html", values)


@register.simple_block_tag
def stat(content: str, label: str, hint: str = "", detail: str = "") -> SafeString:
    """Render one number of a row of figures; `hint` and `detail` say below what it counts."""
    context = {"content": content, "label": label, "hint": hint, "detail": detail}
    return render_to_string("components/stat.html", context)
