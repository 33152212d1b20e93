"""Naming a report, and saying when it goes out to whom."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.models import Membership, User
from common.keyless import KeylessForm
from reports.models import ReportSchedule, SavedReport
from reports.render.exports.registry import ROW_EXPORTS


class SavedReportForm(KeylessForm, forms.ModelForm):  # type: ignore[type-arg]  # generic for type checkers alone
    """The name and who sees it. The settings come with the address, not with the form."""

    class Meta:
        model = SavedReport
        fields = ("name", "sharing")
        widgets = {
            "name": forms.TextInput(attrs={"class": "in", "autocomplete": "off"}),
            "sharing": forms.RadioSelect,
        }
        labels = {"sharing": "Visible to"}
        error_messages = {
            "name": {
                "required": "Enter a name for the report.",
                "max_length": "The name is longer than 100 characters. Shorten it.",
            }
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        same = SavedReport.objects.filter(
            organization=self.instance.organization, owner=self.instance.owner, name=name
        ).exclude(pk=self.instance.pk)
        if same.exists():
            raise ValidationError(
                f"You already have a report called {name}. Choose another name, or open that one"
                " and save it there."
            )
        return name


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Form of a schedule: frequency, hour and recipients."""

    attachment = forms.ChoiceField(
        label="Attached file",
        choices=[(export.name, export.label) for export in ROW_EXPORTS],
        widget=forms.Select(attrs={"class": "in"}),
        error_messages={"required": "Choose the format of the attached file."},
    )

    class Meta:
        model = ReportSchedule
        fields = ("frequency", "weekday", "day_of_month", "hour", "attachment", "recipients")
        labels = {
            "frequency": "How often",
            "weekday": "Weekday",
            "day_of_month": "Day of the month",
            "hour": "Hour, UTC",
        }
        help_texts = {"hour": ""}  # the label says it
        widgets = {
            "frequency": forms.Select(attrs={"class": "in"}),
            "weekday": forms.Select(attrs={"class": "in"}),
            "day_of_month": forms.NumberInput(attrs={"class": "in", "min": 1, "max": 28}),
            "hour": forms.NumberInput(attrs={"class": "in", "min": 0, "max": 23}),
            "recipients": forms.CheckboxSelectMultiple,
        }
        error_messages = {
            "recipients": {
                "required": "Choose at least one member.",
                "invalid_choice": "A chosen recipient is no longer a member. Choose again.",
            },
            "day_of_month": {"required": "Choose a day from 1 to 28."},
            "hour": {"required": "Choose an hour from 0 to 23."},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = Membership.objects.active().filter(organization=self.instance.report.organization)
        people = User.objects.filter(memberships__in=members).order_by("email")
        self.fields["recipients"].queryset = people  # type: ignore[attr-defined]
        self.fields["recipients"].help_text = "Members of this organization."

    def clean(self) -> dict[str, Any]:
        """Ignore the day of another frequency: its field is hidden."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        shown = {"weekly": "weekday", "monthly": "day_of_month"}.get(cleaned.get("frequency", ""))
        for name in {"weekday", "day_of_month"} - {shown}:
            self.errors.pop(name, None)
            cleaned[name] = getattr(self.instance, name)
        return cleaned

    def clean_recipients(self) -> QuerySet[User]:
        chosen: QuerySet[User] = self.cleaned_data["recipients"]
        most = settings.LIMITS["recipients"]
        if len(chosen) > most:
            raise ValidationError(
                f"A schedule has {most:,} recipients at most. Choose fewer, or share the report."
            )
        return chosen
