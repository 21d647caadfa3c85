"""The error of a setting that is not allowed; settings and the fixtures file both raise it."""


class SettingsError(ValueError):
    """A setting is not allowed: a usage error."""
