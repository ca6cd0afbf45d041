"""Reads settings from environment variables, and says of one that cannot be used which it is and what it has to be."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import AfterValidator, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsError

from loom_common.errors import ConfigurationError
from loom_common.expectations import expectation

_SERVER = re.compile(r"(?:[^:/@]*(?::[^@]*)?@)?(?:\[[^]]*\]|[^/?:]*)(?::(?P<port>[^/?,]*))?")
"""Matches what stands behind `://`: user, password, host and port."""


class UnusableSettings(ConfigurationError):
    """Reports environment variables that cannot be used."""

    def __init__(self, expected: Mapping[str, str]) -> None:
        self.expected = dict(expected)
        """Says what was expected of each variable, by its name."""
        words = "; ".join(f"{name}, expected {said}" for name, said in self.expected.items())
        super().__init__(f"The environment has a setting that cannot be used: {words}.")


class EnvironmentSettings(BaseSettings):
    """Holds settings of one `env_prefix`. Making one raises `UnusableSettings` where a variable cannot be used; its
    value is not shown, because it may be secret."""

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise UnusableSettings(self._expected(error)) from None
        except SettingsError as error:  # it names the field
            raise ConfigurationError(f"The environment has a setting that cannot be used: {error}.") from None

    @classmethod
    def _expected(cls, error: ValidationError) -> dict[str, str]:
        prefix = cls.model_config["env_prefix"]
        return {
            f"{prefix}{'_'.join(map(str, one['loc'])).upper()}": expectation(one["msg"])
            for one in error.errors(include_url=False, include_input=False)
        }


def address(*beginnings: str, written: str) -> AfterValidator:
    """Return a check of an address: that it has one of the `beginnings`, and that its port is a number. The error says
    how one is `written`."""

    def checked(url: SecretStr) -> SecretStr:
        given = url.get_secret_value()
        server = _SERVER.match(given.partition("://")[2])
        port = server and server["port"]
        if given.startswith(beginnings) and (not port or port.isdecimal()):
            return url
        raise PydanticCustomError("address", "{written}", {"written": written})

    return AfterValidator(checked)
