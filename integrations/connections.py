"""Test, connect, rename, sync, disconnect and delete connections, and replace their keys.

Pages, commands and the admin call these functions and nothing below them. Every change writes an
audit event. The key is stored in the encrypted field and nowhere else.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain, count

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit, quotas
from accounts.models import Organization, User, slug_validator
from common.keyless import without_keys
from integrations import notices, sync, tasks
from integrations.connectors import unknown
from integrations.connectors.base import Access, Check, Connector, ConnectorError, Probe
from integrations.connectors.ids import canonical_id
from integrations.encryption import Secret
from integrations.models import Connection, SyncRun
from integrations.signals import connection_renamed
from integrations.sync import rate_limit

TEST_TOKEN_LIFETIME = timedelta(minutes=30)
_SALT = "integrations.connections.proof"


class OperationError(Exception):
    """Operation that is not possible. `str(exc)` is the reason, `field` the input to correct.

    `duplicate` is the label of the connection that already uses the organization. `checks` are
    those of a test that passed except for the organization.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        repair: str = "",
        code: str = "",
        duplicate: str = "",
        checks: tuple[Check, ...] = (),
    ) -> None:
        super().__init__(message)
        self.field = field
        self.repair = repair
        self.code = code
        self.duplicate = duplicate
        self.checks = checks


@dataclass(frozen=True)
class TestResult:
    """The outcome of a connection test: a probe and its proof, or the problem."""

    probe: Probe | None
    problem: ConnectorError | None
    proof: str = ""

    @property
    def ok(self) -> bool:
        return self.problem is None


def test(organization: Organization, connector: Connector, *, label: str, key: str) -> TestResult:
    """Prove that the key reads the provider. Stores nothing.

    Raises `OperationError` for a label or key that need not be sent to be known wrong. The proof is
    good for half an hour, for exactly these values in this organization.
    """
    label, key = label.strip(), key.strip()
    _check_label(organization, label)
    tested = _probe(connector, key)
    if tested.probe is None:
        return tested
    _check_duplicate(organization, connector, tested.probe)
    claims = {
        "values": _fingerprint(organization, connector, label, key),
        "provider_organization": tested.probe.organization_id,
        "other_ids": list(tested.probe.other_ids),
        "options": dict(tested.probe.options),
        "currency": tested.probe.currency,
    }
    return TestResult(tested.probe, None, signing.dumps(claims, salt=_SALT))


def connect(
    organization: Organization,
    connector: Connector,
    *,
    actor: User | None,
    label: str,
    key: str,
    proof: str,
    import_history: bool = True,
    everything: bool = False,
    key_expires_on: date | None = None,
) -> Connection:
    """Save a tested connection and queue its import.

    Raises `OperationError` without a fitting proof.

    The import reads the newest `IMPORT_DAYS` days, or with `everything` all the provider has.
    """
    label, key = label.strip(), key.strip()
    try:
        claims = signing.loads(proof, salt=_SALT, max_age=TEST_TOKEN_LIFETIME)
    except signing.BadSignature:
        claims = {}
    expected = _fingerprint(organization, connector, label, key)
    if not hmac.compare_digest(claims.get("values", ""), expected):
        raise OperationError(
            "Test the connection first: these values have not passed a test.", code="untested"
        )
    _check_label(organization, label)
    provider_organization = claims["provider_organization"]
    probe = Probe(provider_organization, checks=(), other_ids=tuple(claims.get("other_ids", ())))
    now = timezone.now()
    secret = Secret(key)
    try:
        with transaction.atomic():
            _one_at_a_time(organization)
            _check_duplicate(organization, connector, probe)
            _check_limit(organization)
            connection = Connection.objects.create(
                organization=organization,
                connector_slug=connector.slug,
                label=label,
                provider_organization_id=provider_organization,
                other_organization_ids=_others(probe, provider_organization),
                options=claims["options"],
                currency=claims["currency"],
                credential=secret,
                key_hint=secret.hint,
                key_expires_on=key_expires_on,
                created_by=actor,
                next_sync_at=None if import_history else now + settings.SYNC_INTERVAL,
            )
            audit.record(
                organization, actor, "connection.connected", label, provider=connector.name
            )
            if import_history:
                run = sync.plan_import(
                    connection,
                    today=now.date(),
                    days=None if everything else settings.IMPORT_DAYS,
                    actor=actor,
                )
                transaction.on_commit(lambda: tasks.enqueue_runs(run))
    except IntegrityError:  # another request was faster
        _check_label(organization, label)
        _check_duplicate(organization, connector, probe)
        raise
    return connection


def _check_limit(organization: Organization) -> None:
    try:
        quotas.check(
            organization, "connections", Connection.objects.filter(organization=organization)
        )
    except quotas.LimitReached as exc:
        raise OperationError(str(exc), code="limit") from exc


def test_stored(connection: Connection) -> TestResult:
    """Probe with the stored key. Keeps how the provider wants to be asked, no status.

    If that is another way than before, the next refresh reads the open period in it.
    """
    if connection.credential is None:
        raise OperationError(f"{connection.label} is disconnected: it has no key to test.")
    tested = _probe(
        connection.connector,
        connection.credential.reveal(),
        provider_organization=connection.provider_organization_id,
    )
    if tested.probe is not None and connection.organization_ids & tested.probe.ids:
        before = connection.other_organization_ids
        _learn_ids(connection, tested.probe)
        if connection.other_organization_ids != before:
            connection.save(update_fields=["other_organization_ids"])
    if tested.probe is not None:
        sync.switch_api_variant(connection, tested.probe.options)
    return tested


def replace_key(
    connection: Connection, *, actor: User | None, key: str, key_expires_on: date | None = None
) -> TestResult:
    """Test a new key of the same provider organization, store it and go on where work stopped.

    Also what brings a disconnected or archived connection back.
    """
    key = key.strip()
    tested = _probe(
        connection.connector, key, provider_organization=connection.provider_organization_id
    )
    if tested.probe is None:
        return tested
    organization_id = tested.probe.organization_id
    known = connection.provider_organization_id
    if known and organization_id and not connection.organization_ids & tested.probe.ids:
        raise OperationError(
            f"This key belongs to another organization ({organization_id}). "
            f"{connection.label} is {known}.",
            field="key",
            repair="Paste a key of the same organization, or connect the other one separately.",
            checks=tested.probe.refused(f"{organization_id} is not {connection.label}."),
        )
    if tested.probe.currency != connection.currency:
        raise OperationError(
            f"{organization_id} is charged in {tested.probe.currency} now. The history of"
            f" {connection.label} is in {connection.currency}, and two currencies are never added.",
            field="key",
            repair="Disconnect this connection, keep its history, and connect the organization"
            " under another label.",
        )
    try:
        _store_key(
            connection,
            tested.probe,
            actor=actor,
            secret=Secret(key),
            key_expires_on=key_expires_on,
        )
    except IntegrityError:  # another request was faster
        _check_duplicate(
            connection.organization, connection.connector, tested.probe, besides=connection
        )
        raise
    connection.refresh_from_db()
    return tested


def _store_key(
    connection: Connection,
    probe: Probe,
    *,
    actor: User | None,
    secret: Secret,
    key_expires_on: date | None,
) -> None:
    """Put the tested key in place and wake the run that waits for it, or a new one."""
    with transaction.atomic():
        _one_at_a_time(connection.organization)
        locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if locked.state == Connection.State.DELETING:
            raise OperationError(f"{connection.label} is being deleted.")
        _check_duplicate(connection.organization, connection.connector, probe, besides=locked)
        was_off = locked.is_disconnected
        locked.credential = secret
        locked.key_hint = secret.hint
        locked.key_expires_on = key_expires_on
        locked.state = Connection.State.ACTIVE
        locked.provider_organization_id = locked.provider_organization_id or probe.organization_id
        _learn_ids(locked, probe)
        sync.switch_api_variant(locked, probe.options)
        _clear_problem(locked)
        locked.save()
        action = "connection.reconnected" if was_off else "connection.key_replaced"
        audit.record(connection.organization, actor, action, connection.label)
        notices.resolve(locked)
        run = sync.active_run(locked) or sync.plan_refresh(
            locked, today=timezone.now().date(), kind=SyncRun.Kind.MANUAL, actor=actor
        )
        transaction.on_commit(lambda: tasks.enqueue_runs(run))


def sync_now(connection: Connection, *, actor: User | None) -> SyncRun:
    """Start a refresh now, or return the active run.

    It also works on a connection that needs action: the problem may have been solved at the
    provider, so that the stored key works again. If not, the run stops where it stopped before.
    """
    with transaction.atomic():
        locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if locked.is_disconnected:
            status = locked.get_state_display().lower()
            raise OperationError(f"{connection.label} cannot sync while its status is: {status}.")
        _check_installed(locked)
        if locked.state == Connection.State.ACTION_NEEDED:
            locked.state = Connection.State.ACTIVE
            _clear_problem(locked)
            locked.save()
        run = sync.active_run(locked) or sync.plan_refresh(
            locked, today=timezone.now().date(), kind=SyncRun.Kind.MANUAL, actor=actor
        )
        audit.record(connection.organization, actor, "connection.sync_requested", connection.label)
        transaction.on_commit(lambda: tasks.enqueue_runs(run))
    return run


def backfill(connection: Connection, *, actor: User | None) -> SyncRun:
    """Start an import of all the provider still has.

    Raises `OperationError` while another run is on.
    """
    if connection.state != Connection.State.ACTIVE:
        status = connection.get_state_display().lower()
        raise OperationError(f"{connection.label} cannot import while its status is: {status}.")
    _check_installed(connection)
    with transaction.atomic():
        locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if sync.active_run(locked) is not None:
            raise OperationError(
                f"{connection.label} is being read right now.",
                repair="Start the import when that run has finished.",
                code="busy",
            )
        run = sync.plan_import(locked, today=timezone.now().date(), actor=actor)
        audit.record(
            connection.organization,
            actor,
            "connection.import_requested",
            connection.label,
            since=run.start.isoformat(),
        )
        transaction.on_commit(lambda: tasks.enqueue_runs(run))
    return run


def rename(connection: Connection, *, actor: User | None, label: str) -> None:
    """Change the label, which is the Billing Account of every day, past and coming.

    What is kept under the old one, such as the filter of a saved report, goes along.
    """
    label = label.strip()
    if label == connection.label:
        return
    _check_label(connection.organization, label)
    try:
        with transaction.atomic():
            locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
            old, locked.label = locked.label, label
            locked.save(update_fields=["label"])
            audit.record(connection.organization, actor, "connection.renamed", label, before=old)
            connection_renamed.send(
                Connection,
                organization=connection.organization,
                before=old,
                after=label,
                actor=actor,
            )
    except IntegrityError:
        _check_label(connection.organization, label)
        raise
    connection.label = label


def disconnect(connection: Connection, *, actor: User | None) -> None:
    """Stop syncing and wipe the key; the facts stay."""
    with transaction.atomic():
        locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if locked.is_disconnected:
            return
        sync.stop(locked)
        locked.credential = None
        locked.key_hint = ""
        locked.key_expires_on = None
        locked.state = Connection.State.DISCONNECTED
        _clear_problem(locked)
        locked.next_sync_at = None
        locked.save()
        audit.record(connection.organization, actor, "connection.disconnected", connection.label)
        notices.resolve(locked)
    connection.refresh_from_db()


def delete(connection: Connection, *, actor: User | None, keep_history: bool = False) -> None:
    """Take a disconnected connection away: archive its history, or erase it in the background."""
    with transaction.atomic():
        locked = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if not locked.is_disconnected:
            raise OperationError(f"Disconnect {connection.label} before you delete it.")
        if locked.state == Connection.State.DELETING:
            return
        states = Connection.State
        locked.state = states.ARCHIVED if keep_history else states.DELETING
        locked.save(update_fields=["state"])
        audit.record(
            connection.organization,
            actor,
            "connection.deleted",
            connection.label,
            history="kept" if keep_history else "erased",
        )
        if not keep_history:
            transaction.on_commit(lambda: tasks.wake_deletion(connection.pk))
    connection.refresh_from_db()


def _clear_problem(connection: Connection) -> None:
    connection.problem = connection.problem_code = connection.problem_repair = ""
    connection.problem_since = None


def _check_installed(connection: Connection) -> None:
    if not connection.connector.is_installed:
        slug = connection.connector_slug
        raise OperationError(unknown.problem_of(slug), repair=unknown.REPAIR, code="not_installed")


def _probe(connector: Connector, key: str, *, provider_organization: str = "") -> TestResult:
    """Check the key's shape, then ask the provider; a person waits, so once and briefly."""
    # The organization of an unseen key is not known before its first answer.
    limiter = rate_limit.RateLimiter(
        connector,
        provider_organization,
        stand_in=f"key-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        patience_seconds=20,
    )
    access = Access(
        key=key,
        base_url=connector.base_url,
        acquire=limiter,
        observe=lambda request: limiter.learn(request.organization_id),
        attempts=1,
    )
    try:
        connector.check_key(key)
        return TestResult(connector.probe(access, today=timezone.now().date()), None)
    except ConnectorError as exc:
        return TestResult(None, exc)


def label_problem(organization: Organization, label: str) -> str:
    """Why a connection cannot have this label; "" if it can."""
    if without_keys(label) != label:
        return "This looks like an API key. Paste the key into the key field, and enter a label."
    try:
        slug_validator(label)
    except ValidationError as exc:
        return str(exc.messages[0])
    taken = organization.connections.filter(label=label).first()
    if taken is None:
        return ""
    if taken.state == Connection.State.ARCHIVED:
        return f"{label} is used by an archived history. Choose another label."
    return f"{label} is used by another connection. Choose another label."


def suggest_label(organization: Organization, typed: str) -> str:
    """Return the free label that is nearest to the one typed."""
    typed = "" if without_keys(typed) != typed else typed
    stem = slugify(typed).replace("_", "-").strip("-")[:46].strip("-") or "my-org"
    taken = set(
        organization.connections.filter(label__startswith=stem).values_list("label", flat=True)
    )
    numbered = (f"{stem}-{number}" for number in count(2))
    return next(label for label in chain([stem], numbered) if label not in taken)


def _check_label(organization: Organization, label: str) -> None:
    problem = label_problem(organization, label)
    if problem:
        free = suggest_label(organization, label)
        raise OperationError(problem, field="label", repair=f"{free} is free.")


def _one_at_a_time(organization: Organization) -> None:
    """Lock the organization, so that it cannot be connected under another id meanwhile."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def _others(probe: Probe, provider_organization: str) -> list[str]:
    """Return the ids of the organization other than the one that is stored."""
    return sorted(probe.ids - {canonical_id(provider_organization)})


def _learn_ids(connection: Connection, probe: Probe) -> None:
    """Keep the spellings that a test found, so that the next key may come with any of them."""
    known = connection.organization_ids | probe.ids
    primary = canonical_id(connection.provider_organization_id)
    connection.other_organization_ids = sorted(known - {primary})


def _check_duplicate(
    organization: Organization,
    connector: Connector,
    probe: Probe,
    *,
    besides: Connection | None = None,
) -> None:
    """One provider organization twice would count every dollar twice."""
    provider_id = probe.organization_id
    of_connector = organization.connections.filter(connector_slug=connector.slug)
    others = of_connector.exclude(pk=besides.pk) if besides else of_connector
    duplicate = next(
        (one for one in others.order_by("pk") if one.organization_ids & probe.ids), None
    )
    if duplicate is None:
        return
    checks = probe.refused(f"{provider_id} is {duplicate.label} already.")
    if duplicate.is_disconnected:
        raise OperationError(
            f"The history of this organization ({provider_id}) is already here, as "
            f"{duplicate.label}. Reading it twice would count every dollar twice.",
            field="key",
            repair=f"Reconnect {duplicate.label} with this key.",
            code="connected_before",
            duplicate=duplicate.label,
            checks=checks,
        )
    raise OperationError(
        f"This organization ({provider_id}) is already connected, as {duplicate.label}.",
        field="key",
        repair=f"Use the key of another organization, or replace the key of {duplicate.label}.",
        code="connected_already",
        duplicate=duplicate.label,
        checks=checks,
    )


def _fingerprint(organization: Organization, connector: Connector, label: str, key: str) -> str:
    """Return a keyed hash of what was tested. It reveals no key without the SECRET_KEY."""
    text = "\0".join([str(organization.pk), connector.slug, label, key])
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
