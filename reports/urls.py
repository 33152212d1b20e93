from django.urls import path

from reports import views

app_name = "reports"
urlpatterns = [
    path("explore/", views.explore, name="explore"),
    path("explore.csv", views.explore_csv, name="explore_csv"),
]
