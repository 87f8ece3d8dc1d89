"""Whether the environment says all that a read takes; and where that leads, compared with where boto3 goes."""

import re
from pathlib import Path

import pytest
from botocore import configprovider, credentials

from handlers.registry.stores.s3_access import S3Access
from handlers.registry.stores.s3_boto3 import Boto3Store
from handlers.registry.stores.sigv4 import Credentials

LAMBDA = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_LAMBDA_FUNCTION_NAME": "inference",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "AWS_ENDPOINT_URL_S3": "",  # as template.yaml has it
}
READ = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_"),
}
# What botocore looks at, and what changes nothing for a GET from S3 with credentials from the environment.
WITHOUT_EFFECT = {
    *("AWS_ACCOUNT_ID", "AWS_EXECUTION_ENV", "AWS_SDK_UA_APP_ID"),
    *("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    *("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_EC2_METADATA_V1_DISABLED", "AWS_IMDS_USE_IPV6"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_ROLE_ARN", "AWS_CREDENTIAL_FILE"),
    *("AWS_CSM_ENABLED", "AWS_CSM_HOST", "AWS_CSM_PORT", "AWS_CSM_CLIENT_ID"),  # statistics, for a local daemon
    *("AWS_ENDPOINT_DISCOVERY_ENABLED", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_DISABLE_HOST_PREFIX_INJECTION"),
    *("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"),  # the store sets both
    *("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "AWS_DISABLE_REQUEST_COMPRESSION"),  # a GET sends nothing
    *("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"),  # every byte is hashed anyway
    *("AWS_SIGV4A_SIGNING_REGION_SET", "AWS_ACCOUNT_ID_ENDPOINT_MODE", "AWS_AUTH_SCHEME_PREFERENCE"),
    *("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "AWS_S3_USE_ARN_REGION", "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without files of the AWS CLI."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def access(bucket: str = "bucket", **environ: str) -> S3Access | None:
    return S3Access.from_environ(bucket, LAMBDA | environ)


def test_what_lambda_sets_is_enough() -> None:
    found = access()

    assert found is not None
    assert found.credentials == Credentials("id", "secret", "token")
    assert "secret" not in repr(found)
    assert "token" not in repr(found)


@pytest.mark.parametrize(
    ("bucket", "environ"),
    [
        ("bucket", {}),
        ("a.dotted.bucket", {}),
        ("bucket", {"AWS_DEFAULT_REGION": "us-gov-west-1"}),
        ("bucket", {"AWS_DEFAULT_REGION": "ap-southeast-2"}),
        ("bucket", {"AWS_DEFAULT_REGION": "us-east-1"}),
        ("a.dotted.bucket", {"AWS_DEFAULT_REGION": "us-east-1"}),
        ("bucket", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}),
        ("bucket", {"AWS_ENDPOINT_URL_S3": "https://s3.example.com/"}),
        ("a.dotted.bucket", {"AWS_ENDPOINT_URL_S3": "http://localhost:80"}),
        ("bucket", {"AWS_ENDPOINT_URL_S3": "https://localhost:443", "AWS_ENDPOINT_URL": "http://other"}),
    ],
)
def test_it_asks_where_boto3_would(bucket: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (LAMBDA | environ).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    found = access(bucket, **environ)

    assert found is not None
    place = found.place
    assert f"http{'s' * place.tls}://{place.authority}{place.path}a/b" == url_of_boto3(bucket, "a/b")


def url_of_boto3(bucket: str, key: str) -> str:
    store = Boto3Store.open(f"s3://{bucket}", bucket, "")

    class Seen(Exception):
        pass

    def look(request: object, **_: object) -> None:
        raise Seen(getattr(request, "url", ""))

    store.client.meta.events.register("before-send.s3.GetObject", look)
    with pytest.raises(Seen) as seen:
        store.client.get_object(Bucket=bucket, Key=key)
    url = re.sub(r":(80|443)(?=/)", "", str(seen.value.args[0]))  # as in the header `Host`
    # in us-east-1, boto3 takes the global name by default, which is the same place
    return url.replace("s3.amazonaws.com/", "s3.us-east-1.amazonaws.com/")


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_SESSION_TOKEN": "of\r\ntwo: lines"},
        {"AWS_DEFAULT_REGION": "", "AWS_REGION": ""},
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_DEFAULT_REGION": "us-iso-east-1"},
        {"AWS_DEFAULT_REGION": "aws-global"},
        {"AWS_DEFAULT_REGION": "evil.example/"},
        {"AWS_DEFAULT_REGION": "a\r\nb", "AWS_ENDPOINT_URL_S3": "http://localhost"},
        {"AWS_ENDPOINT_URL_S3": "http://localhost/path"},
        {"AWS_ENDPOINT_URL_S3": "http://user@localhost"},
        {"AWS_ENDPOINT_URL_S3": "http://[::1]:9000"},
        {"AWS_ENDPOINT_URL_S3": "localhost:9000"},
        {"AWS_PROFILE": "mine"},
        {"AWS_CONFIG_FILE": "/etc/aws"},
        {"AWS_CA_BUNDLE": "/etc/ca.pem"},
        {"HTTPS_PROXY": "http://proxy"},
        {"https_proxy": "http://proxy"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_CREDENTIAL_EXPIRATION": "2030-01-01T00:00:00Z"},
    ],
)
def test_what_only_boto3_understands_is_left_to_it(environ: dict[str, str]) -> None:
    assert access(**environ) is None


@pytest.mark.parametrize("bucket", ["b--usw2-az1--x-s3", "b--ol-s3", "point-abc-s3alias"])
def test_buckets_with_rules_of_their_own_are_left_to_boto3(bucket: str) -> None:
    assert access(bucket) is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_file_of_the_cli_is_left_to_boto3(home: Path, name: str) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / name).touch()

    assert access() is None


def test_certificates_of_ones_own_matter_only_with_tls() -> None:
    found = access(AWS_ENDPOINT_URL_S3="http://localhost", AWS_CA_BUNDLE="/etc/ca.pem")

    assert found is not None
    assert access(AWS_ENDPOINT_URL_S3="https://localhost", AWS_CA_BUNDLE="/etc/ca.pem") is None


def test_every_name_that_botocore_looks_at_is_known() -> None:
    # a new one in a newer botocore is to be thought about: read here, left to boto3, or without effect
    sources = [Path(str(module.__file__)).read_text("utf-8") for module in (configprovider, credentials)]
    names = {name for source in sources for name in re.findall(r"'(AWS_[A-Z0-9_]+)'", source)}
    in_rules = {"AWS_USE_FIPS", "AWS_USE_DUALSTACK"}
    unknown = {name for name in names - READ - WITHOUT_EFFECT - in_rules if access(**{name: "x"}) is not None}

    assert len(names) > 30
    assert unknown == set()
