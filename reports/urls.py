from django.urls import path

from reports import product_views, views

app_name = "reports"
urlpatterns = [
    path("products/", product_views.show, name="products"),
    path("explore/", views.explore, name="explore"),
    path("explore.csv", views.explore_csv, name="explore_csv"),
]
