"""Finds secrets in AWS Secrets Manager: `${aws:prod/db#password}`, or by ARN. Needs the extra `aws`.

Region, endpoint and the keys of the worker itself come from where AWS's SDK finds them: variables, `~/.aws`, or the
role of the machine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from loom_common import extras
from loom_common.config.secrets.fields import field_of, split_field
from loom_common.errors import ConfigurationError, DependencyUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 5
_NOT_THERE = ("ResourceNotFoundException",)
_AWAY = ("InternalServiceError", "InternalServiceErrorException", "InternalFailure", "ServiceUnavailable")
_LIMITED = ("ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException")


class AwsProvider:
    """Asks AWS Secrets Manager for the current version of a secret."""

    remedy = "Create it in AWS Secrets Manager: {name} names nothing in this region."

    def __init__(self) -> None:
        self._client: Any = None

    def get(self, name: str) -> str | None:
        secret, field = split_field(name)
        text = self._read(secret)
        if text is None or field is None:
            return text
        place = f"AWS's secret {secret}"
        return field_of(_document(text, place), field, place)

    def _read(self, secret: str) -> str | None:
        """Return the text of a secret; None where there is none. Raises `ConfigurationError`,
        `DependencyUnavailable`."""
        client = self._opened()
        from botocore import exceptions as aws

        try:
            found = client.get_secret_value(SecretId=secret)
        except aws.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _NOT_THERE:
                return None
            if code in (*_AWAY, *_LIMITED):
                raise DependencyUnavailable(f"AWS Secrets Manager cannot give {secret} now ({code}).") from None
            raise ConfigurationError(
                f"AWS Secrets Manager refused to give {secret} ({code}). Check the keys or the role of the worker, and "
                "its right to secretsmanager:GetSecretValue."
            ) from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
            raise ConfigurationError(
                f"AWS's SDK found no keys to ask Secrets Manager with ({type(error).__name__}). Set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY, or give the machine a role."
            ) from error
        except aws.ParamValidationError as error:
            raise ConfigurationError(f"'{secret}' is no name of an AWS secret.") from error
        except (aws.BotoCoreError, OSError) as error:
            raise DependencyUnavailable(f"AWS Secrets Manager cannot be reached ({type(error).__name__}).") from error
        text = found.get("SecretString")
        if not isinstance(text, str):
            raise ConfigurationError(f"AWS's secret {secret} is bytes, and no text.")
        return text

    def _opened(self) -> Any:
        if self._client is not None:
            return self._client
        try:
            from botocore import exceptions as aws
            from botocore.config import Config
            from botocore.session import Session
        except ImportError as error:
            raise ConfigurationError(
                f"${{aws:...}} needs the extra `aws`, which is not installed here: {extras.remedy('aws')}"
            ) from error
        limits = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
        try:
            region = os.environ.get("AWS_REGION")  # other SDKs of AWS read it; this one does not
            self._client = Session().create_client("secretsmanager", region_name=region, config=limits)
        except aws.NoRegionError as error:
            raise ConfigurationError("Set AWS_REGION or AWS_DEFAULT_REGION where the worker runs.") from error
        except (aws.BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"The settings of AWS's SDK cannot be used ({type(error).__name__}). Check ~/.aws and the variables "
                "that begin with AWS_."
            ) from error
        return self._client


def _document(text: str, place: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{place} has no fields: it is no JSON object. Leave out the field's name.")
    return found
