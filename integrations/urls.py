from django.urls import path

from integrations import views

app_name = "integrations"
urlpatterns = [
    path("", views.index, name="index"),
    path("connections/<slug:label>/sync/", views.sync_now, name="sync_now"),
    path("connections/<slug:label>/progress/", views.progress, name="progress"),
    path("connections/<slug:label>/key/", views.replace_key, name="replace_key"),
    path("connections/<slug:label>/disconnect/", views.disconnect, name="disconnect"),
    path("connections/<slug:label>/delete/", views.delete, name="delete"),
    path("<slug:connector_slug>/", views.manage, name="manage"),
    path("<slug:connector_slug>/card/", views.card, name="card"),
    path("<slug:connector_slug>/connect/", views.connect, name="connect"),
    path("<slug:connector_slug>/connect/test/", views.test, name="test"),
]
