from django.urls import path

from reports import file_views, files
from reports.explore import views
from reports.products import views as product_views
from reports.render.exports.registry import EXPORTS
from reports.saved import views as saved_views

app_name = "reports"
urlpatterns = [
    path("", saved_views.index, name="index"),
    path("products/", product_views.show, name="products"),
    path("explore/", views.explore, name="explore"),
    *(
        path(f"explore.{export.name}", files.export, {"name": export.name}, name=export.url_name)
        for export in EXPORTS.values()
    ),
    path("files/", file_views.index, name="files"),
    path("files/<int:file_pk>/", file_views.file, name="file"),
    path("files/<int:file_pk>/download/", file_views.download, name="download"),
    path("files/<int:file_pk>/delete/", file_views.delete, name="delete_file"),
    path("save/", saved_views.save, name="save"),
    path("saved/<int:report_pk>/", saved_views.open_report, name="open"),
    path("saved/<int:report_pk>/edit/", saved_views.edit, name="edit"),
    path("saved/<int:report_pk>/update/", saved_views.update, name="update"),
    path("saved/<int:report_pk>/duplicate/", saved_views.duplicate, name="duplicate"),
    path("saved/<int:report_pk>/take-over/", saved_views.take_over, name="take_over"),
    path("saved/<int:report_pk>/delete/", saved_views.delete, name="delete"),
    path("saved/<int:report_pk>/schedule/", saved_views.schedule, name="schedule"),
    path("schedules/<int:schedule_pk>/", saved_views.change_schedule, name="change_schedule"),
    path("schedules/<int:schedule_pk>/pause/", saved_views.pause, name="pause"),
    path("schedules/<int:schedule_pk>/send/", saved_views.send_now, name="send_now"),
    path(
        "schedules/<int:schedule_pk>/take-over/",
        saved_views.take_over_schedule,
        name="take_over_schedule",
    ),
    path("schedules/<int:schedule_pk>/delete/", saved_views.unschedule, name="unschedule"),
]
