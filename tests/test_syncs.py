"""What counts as a sync that was tried again."""

from tests.proof.syncs import read, tried_again

_WRITE = '7 1.0 pwrite64(9</f>, "a, 1\\"b"..., 24, 32) = 24'
_OTHER = '7 1.5 pwrite64(9</f>, ""..., 8, 0) = 8'
_FAILED = "7 2.0 fdatasync(9</f>) = -1 EIO (Input/output error) (INJECTED)"
_SYNC = "7 3.0 fdatasync(9</f>) = 0"


def test_a_sync_after_a_failed_one_was_tried_again() -> None:
    assert tried_again(read([_WRITE, _FAILED, _SYNC]), "plain") == 1


def test_a_sync_of_what_was_written_anew_is_another_one() -> None:
    assert tried_again(read([_WRITE, _FAILED, _WRITE, _SYNC]), "plain") == 0


def test_what_was_written_anew_in_part_is_known_only_by_its_checksums() -> None:
    calls = list(read([_WRITE, _OTHER, _FAILED, _OTHER, _SYNC]))
    assert tried_again(calls, "plain") == 1
    assert tried_again(calls, "checksummed") == 0


def test_a_file_that_is_appended_to_is_not_synced_after_a_failure_at_all() -> None:
    assert tried_again(read([_WRITE, _FAILED, _WRITE, _SYNC]), "appended") == 1
    assert tried_again(read([_WRITE, _FAILED, _WRITE, _FAILED]), "appended") == 1


def test_a_call_that_another_thread_interrupts_in_the_trace_is_read_whole() -> None:
    lines = [
        "7 1.0 fdatasync(9</f> <unfinished ...>",
        '8 1.1 write(5</g>, "x", 1) = 1',
        "7 1.2 <... fdatasync resumed>) = 0",
    ]
    assert [(call.name, call.path, call.at) for call in read(lines)] == [
        ("write", "/g", 1.1),
        ("fdatasync", "/f", 1.0),
    ]
