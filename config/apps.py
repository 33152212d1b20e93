from django.contrib.admin.apps import AdminConfig


class Admin(AdminConfig):
    """Django's admin under our name; the first of our apps to be ready registers the checks."""

    default_site = "config.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from config import checks  # noqa: F401 - registers them
