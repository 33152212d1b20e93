from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts.views import account, audit_log, auth, members

_IN = "o/<slug:organization_slug>/"

urlpatterns = [
    path("", auth.home, name="home"),
    path("login/", auth.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("invitations/<str:token>/", auth.invitation, name="invitation"),
    path("account/", account.profile, name="profile"),
    path("account/email/", account.change_email, name="change_email"),
    path("account/email/<str:token>/", account.confirm_email, name="confirm_email"),
    path("account/password/", account.change_password, name="change_password"),
    path("password/", account.forgot_password, name="forgot_password"),
    path(
        "password/<str:uidb64>/<str:token>/",
        account.SetNewPassword.as_view(),
        name="password_reset_confirm",
    ),
    path(f"{_IN}members/", members.index, name="members"),
    path(f"{_IN}members/invite/", members.invite, name="member_invite"),
    path(f"{_IN}members/<int:member_pk>/role/", members.change_role, name="member_role"),
    path(f"{_IN}members/<int:member_pk>/deactivate/", members.deactivate, name="member_deactivate"),
    path(f"{_IN}members/<int:member_pk>/reactivate/", members.reactivate, name="member_reactivate"),
    path(f"{_IN}members/<int:member_pk>/remove/", members.remove, name="member_remove"),
    path(f"{_IN}invitations/<int:invitation_pk>/send/", members.resend, name="invitation_send"),
    path(
        f"{_IN}invitations/<int:invitation_pk>/withdraw/",
        members.revoke,
        name="invitation_withdraw",
    ),
    path(f"{_IN}audit/", audit_log.index, name="audit_log"),
    path(f"{_IN}audit.csv", audit_log.as_csv, name="audit_log_csv"),
]
