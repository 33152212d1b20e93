from django.urls import path

from reports.dashboard import views

app_name = "dashboards"
urlpatterns = [
    path("definitions/", views.definitions, name="definitions"),
    path("genai/", views.genai, name="genai"),
    path("genai/people/", views.people, name="people"),
    path("genai/<slug:widget>/", views.widget, name="widget"),
    path("genai/<slug:widget>.csv", views.widget_csv, name="widget_csv"),
]
