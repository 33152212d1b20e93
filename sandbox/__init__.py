"""Emulator of the providers' APIs over an invented organization, for development and tests.

Standard library only. It imports nothing of the product and no production process imports it, so
neither can inherit a mistake of the other. `python -m sandbox` serves it.
"""
