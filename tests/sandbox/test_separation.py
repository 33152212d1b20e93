"""The sandbox is no part of the product: nothing imports it, and the image does not hold it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_PRODUCT = ("benchmarks", "dev", "sandbox", "tests")
PRODUCT = ("accounts", "api", "common", "config", "integrations", "reports")


def loaded_by(code):
    """Return the first names of the modules that a new process has loaded after `code`."""
    code += "; import json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_no_production_process_loads_the_sandbox():
    code = (
        "import os, pkgutil, importlib, django; "
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; django.setup(); "
        "from integrations.connectors import connectors; connectors(); "
        "import config.wsgi, config.celery, config.urls; "
        f"[importlib.import_module(name) for top in {PRODUCT!r} for _, name, _ in "
        "pkgutil.walk_packages(importlib.import_module(top).__path__, f'{top}.')]"
    )

    loaded = loaded_by(code)

    assert loaded >= set(PRODUCT)
    assert loaded.isdisjoint(NOT_PRODUCT)


def test_the_sandbox_loads_nothing_of_the_product_and_no_library():
    loaded = loaded_by("import sandbox.__main__")

    assert loaded.isdisjoint({*PRODUCT, "dev", "tests", "django", "httpx", "msgspec"})


def test_the_image_holds_none_of_it():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert set(NOT_PRODUCT) <= set(ignored)
