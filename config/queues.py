"""Queue of each task, and the queues of each worker process.

Work that waits for a provider, a mail server or a large report has its own queue and workers, so
that it delays no other work.
"""

from dataclasses import dataclass

IMPORTS = "imports"  # reading providers: minutes, and as slow as they are
MAIL = "mail"  # handing mails to the mail server
NOTICES = "notices"  # looking for events that people are notified of
EXPORTS = "exports"  # reports that are computed for a file or a mail
HOUSEKEEPING = "housekeeping"  # finding what is due, erasing, pruning

NAMES = (IMPORTS, MAIL, NOTICES, EXPORTS, HOUSEKEEPING)

# Every task has a line here; a test compares this with the tasks that exist.
ROUTES = {
    "integrations.tasks.run_windows": IMPORTS,
    "integrations.tasks.compare_ways": IMPORTS,
    "accounts.mail.send_mail": MAIL,
    "accounts.mail.sweep": HOUSEKEEPING,
    "integrations.tasks.detect_events": NOTICES,
    "reports.tasks.send_report": EXPORTS,
    "reports.tasks.make_file": EXPORTS,
    "reports.tasks.tick": HOUSEKEEPING,
    "integrations.tasks.tick": HOUSEKEEPING,
    "integrations.tasks.start_comparisons": HOUSEKEEPING,
    "integrations.tasks.prune": HOUSEKEEPING,
    "integrations.tasks.delete_connection": HOUSEKEEPING,
    "accounts.tasks.purge_sessions": HOUSEKEEPING,
}


@dataclass(frozen=True)
class Worker:
    """One `celery worker` command: its queues and its number of concurrent tasks."""

    name: str
    queues: tuple[str, ...]
    concurrency: int

    @property
    def arguments(self) -> list[str]:
        """Arguments after `celery --app config`. Workers of a host need different names."""
        node = f"{self.name}@%h"
        queues = ",".join(self.queues)
        count = str(self.concurrency)
        return ["worker", "--hostname", node, "--queues", queues, "--concurrency", count]


# The smallest set in which no kind of work waits for another. `docs/operations.md` and
# `compose.yaml` list the same commands.
WORKERS = (
    Worker("imports", (IMPORTS,), 3),
    Worker("mail", (MAIL, NOTICES, HOUSEKEEPING), 3),
    Worker("exports", (EXPORTS,), 1),
)
