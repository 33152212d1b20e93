"""How dates stand where no template says it, such as in the Django admin: as on all our pages."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = r"j M Y, H:i \U\T\C"
