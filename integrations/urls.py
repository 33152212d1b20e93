from django.urls import path

from integrations.views import cards, connect, health, inquiries, log, manage, notices

app_name = "integrations"
urlpatterns = [
    path("", cards.index, name="index"),
    path("archive/", manage.archive, name="archive"),
    path("health/", health.index, name="health"),
    path("health/checks/", health.checks, name="checks"),
    path("health/restatements/", health.restatements, name="restatements"),
    path("health/restatements.csv", health.restatements_csv, name="restatements_csv"),
    path("inquiries/", inquiries.index, name="inquiries"),
    path("inquiries/<int:inquiry_id>/close/", inquiries.close, name="close_inquiry"),
    path("label/", connect.label, name="label"),
    path("log/", log.runs, name="log"),
    path("log/<int:run_id>/", log.run, name="run"),
    path("notices/", notices.index, name="notices"),
    path("notices/dismiss/", notices.dismiss_all, name="dismiss_all"),
    path("notices/<int:notice_id>/dismiss/", notices.dismiss, name="dismiss"),
    path("connections/<slug:label>/sync/", manage.sync_now, name="sync_now"),
    path("connections/<slug:label>/progress/", manage.progress, name="progress"),
    path("connections/<slug:label>/feeds/", manage.feeds, name="feeds"),
    path("connections/<slug:label>/key/", manage.replace_key, name="replace_key"),
    path("connections/<slug:label>/rename/", manage.rename, name="rename"),
    path(
        "connections/<slug:label>/service-accounts/",
        manage.name_service_account,
        name="name_service_account",
    ),
    path("connections/<slug:label>/names/", manage.name_identifier, name="name_identifier"),
    path("connections/<slug:label>/import/", manage.import_everything, name="import_everything"),
    path("connections/<slug:label>/disconnect/", manage.disconnect, name="disconnect"),
    path("connections/<slug:label>/delete/", manage.delete, name="delete"),
    path("<slug:connector_slug>/", manage.manage, name="manage"),
    path("<slug:connector_slug>/card/", cards.card, name="card"),
    path("<slug:connector_slug>/connect/", connect.connect, name="connect"),
    path("<slug:connector_slug>/connect/test/", connect.test, name="test"),
    path("<slug:connector_slug>/inquiry/", inquiries.inquire, name="inquire"),
]
