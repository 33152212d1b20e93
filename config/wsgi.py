import os
import sys

from django.core.checks import run_checks
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
# Commands and the worker check the settings before they start; a web server does not by itself.
errors = [message for message in run_checks() if message.is_serious()]
if errors:
    sys.stderr.write("\n".join(str(message) for message in errors) + "\n")
    sys.exit(3)  # gunicorn then gives up, instead of starting the next worker
