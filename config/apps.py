from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import pre_migrate


class Admin(AdminConfig):
    """App of the admin site. The first of our apps to be ready, so it registers the checks."""

    default_site = "config.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from config import checks as checks  # registered by being imported
        from config import upgrades

        pre_migrate.connect(upgrades.check_history, sender=self)
