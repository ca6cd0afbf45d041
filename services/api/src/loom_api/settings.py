"""Reads what only the API can be told, from the environment: `LOOM_API_...`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from loom_common.config.environment import EnvironmentSettings
from loom_common.domain.identity_provider import is_loopback
from loom_common.errors import ConfigurationError

DEFAULT_PORT = 8780


class ApiSettings(EnvironmentSettings):
    """Says where the API listens, and whom it answers."""

    model_config = SettingsConfigDict(env_prefix="LOOM_API_", frozen=True, defer_build=True)

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="0 for any free port.")
    behind_proxy: bool = Field(
        False,
        description="True only where a proxy in front of it ends TLS. It then answers for any name, and takes the "
        "address of a client from `X-Forwarded-For`.",
    )
    unprotected: bool = Field(
        False,
        description="True only where nobody else reaches the address, as in a container whose port is published on "
        "loopback. It then listens there though no policies say who may do what.",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description='Web pages that may read answers in a browser: `["https://pages.example"]`. Default: none.'
    )
    requests_per_minute: int = Field(6_000, ge=0, description="What one client may ask in a minute; 0 for any number.")
    records_bytes: int = Field(1 << 30, ge=0, description="The largest body of a request that gives records.")
    runs_at_once: int = Field(
        100, ge=1, description="How many runs of a pipeline may be under way when a request gives it records."
    )
    body_bytes: int = Field(1 << 20, ge=0, description="The largest body of a request.")

    def refuse_open_address(self, *, controlled: bool) -> None:
        """Raise `ConfigurationError` for an address that others reach, unless access is `controlled`, or nobody else
        reaches it by `unprotected`; and for an empty one, which would be every address of this machine."""
        if not self.host.strip():
            raise ConfigurationError(
                "The address to listen on is empty: --host, or LOOM_API_HOST. Name one, such as 127.0.0.1 for this "
                "machine alone."
            )
        if controlled or self.unprotected or is_loopback(self.host):
            return
        raise ConfigurationError(
            f"The API would listen on {self.host}, where others reach it, and nothing says who may do what. Let it "
            "listen on 127.0.0.1; or write policies in loom.yaml, `access: {policies: [...]}`, and make tokens with "
            "`loom token create`. See docs/api.md."
        )
