"""URLs of the token pages. The API has its own in `v1`."""

from django.urls import path

from api import views

app_name = "tokens"
urlpatterns = [
    path("", views.index, name="index"),
    path("<int:token_pk>/revoke/", views.revoke, name="revoke"),
]
