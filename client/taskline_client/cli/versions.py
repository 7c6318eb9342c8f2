"""The version of what is installed here."""

from importlib import metadata


def installed_version() -> str:
    """Of the package that this belongs to."""
    try:
        return metadata.version("taskline")
    except metadata.PackageNotFoundError:
        return "(not installed: running from its source)"
