import pytest

from handlers.registry.stores.aws_session import open_session


def test_each_session_has_the_credentials_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("one", "other"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        credentials = open_session().get_credentials()
        assert credentials is not None
        found.append(credentials.access_key)

    assert found == ["one", "other"]


def test_what_never_changes_is_read_once() -> None:
    one, other = open_session(), open_session()
    assert one._session is not other._session  # noqa: SLF001 - boto3 shows what it stands on nowhere else
    assert one._session.get_component("data_loader") is other._session.get_component("data_loader")  # noqa: SLF001
