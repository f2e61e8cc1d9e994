"""A file appears whole or not at all, whatever happens in between."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from convcli.errors import FileError, InputError, UsageError
from convcli.system.files import atomic_write, check_target, open_input, shown

OLD, NEW = b"old content", b"new content" * 1000


def write(target, content=NEW, *, force=True):
    with atomic_write(target, force=force) as file:
        file.write(content)


def write_and_then(target, error):
    with atomic_write(target, force=True) as file:
        file.write(NEW)
        raise error


def run_python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, timeout=60, check=False, **options
    )


@pytest.fixture
def old(tmp_path):
    target = tmp_path / "out.bin"
    target.write_bytes(OLD)
    return target


def test_new_file_is_written_and_nothing_else(tmp_path):
    write(tmp_path / "out.bin", force=False)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.bin", NEW)]


def test_existing_file_is_replaced_only_with_force(old):
    with pytest.raises(UsageError, match=r"out\.bin exists; use -f to overwrite it, or another name"):
        write(old, force=False)
    assert old.read_bytes() == OLD
    write(old)
    assert old.read_bytes() == NEW


def test_target_does_not_exist_before_the_last_byte(tmp_path):
    target = tmp_path / "out.bin"
    with atomic_write(target, force=False) as file:
        file.write(NEW)
        file.flush()
        assert not target.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError, MemoryError])
def test_exception_leaves_the_old_file_and_no_other(old, error):
    with pytest.raises(error):
        write_and_then(old, error)
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("out.bin", OLD)]


def test_exception_leaves_no_file_where_none_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_then(tmp_path / "out.bin", KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from convcli.system import files as atomic
target, moment, force = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "force"
die = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
def die_after(function):
    return lambda *args, **kwargs: (function(*args, **kwargs), die())
name, when = moment.split("-")
if name != "write":
    setattr(os, name, die if when == "before" else die_after(getattr(os, name)))
with atomic.atomic_write(target, force=force) as file:
    file.write(b"new content" * 500)
    file.flush()
    if moment == "write-amid":
        die()
    file.write(b"new content" * 500)
"""


@pytest.mark.parametrize("force", ["force", "gently"])
@pytest.mark.parametrize(
    "moment",
    ["open-after", "write-amid", "fsync-before", "fsync-after", "publish-before", "publish-after"],
)
def test_kill_9_leaves_the_old_file_or_the_new_one_whole(tmp_path, moment, force):
    target = tmp_path / "out.bin"
    if force == "force":
        target.write_bytes(OLD)
    moment = moment.replace("publish", "replace" if force == "force" else "link")
    done = run_python(KILLED, str(target), moment, force)
    assert done.returncode == -signal.SIGKILL
    found = target.read_bytes() if target.exists() else None
    published = moment in ("replace-after", "link-after")
    assert found == (NEW if published else OLD if force == "force" else None)
    write(target, force=found is not None)  # what the dead process left is in nobody's way
    assert target.read_bytes() == NEW


def test_kill_at_any_time_leaves_a_whole_file(tmp_path):
    code = """
import sys
from pathlib import Path
from convcli.system.files import atomic_write
print(flush=True)
while True:
    for byte in (b"a", b"b"):
        with atomic_write(Path(sys.argv[1]), force=True) as file:
            file.write(byte * 300_000)
"""
    target = tmp_path / "out.bin"
    target.write_bytes(b"a" * 300_000)
    for delay in range(6):
        with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            threading.Event().wait(0.005 + 0.007 * delay)
            process.kill()
        assert target.read_bytes() in (b"a" * 300_000, b"b" * 300_000)


FULL = """
import resource, sys
from pathlib import Path
from convcli.system.files import atomic_write
from convcli.errors import FileError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    with atomic_write(Path(sys.argv[1]), force=True) as file:
        file.write(b"x" * 100_000)
except FileError as error:
    print(error)
"""


def test_file_size_limit_leaves_the_old_file(old):
    done = run_python(FULL, str(old))
    assert done.stdout.decode().strip() == f"cannot write {old}: File too large; the old file is unchanged"
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("out.bin", OLD)]


@pytest.fixture
def small_disk(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "convcli-test", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_full_disk_leaves_the_old_file(small_disk):
    target = small_disk / "out.bin"
    target.write_bytes(OLD)
    with pytest.raises(FileError, match=r"No space left on device; the old file is unchanged"):
        write(target, b"x" * 1_000_000)
    assert [(p.name, p.read_bytes()) for p in small_disk.iterdir()] == [("out.bin", OLD)]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_refusal_by_the_system_leaves_the_old_file(old, monkeypatch, call, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(
        FileError, match=f"cannot write .*out.bin: {os.strerror(number)}; the old file is unchanged"
    ):
        write(old)
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("out.bin", OLD)]


def test_missing_folder_is_an_error_in_words(tmp_path):
    with pytest.raises(FileError, match=r"cannot write .*out\.bin: No such file or directory$"):
        write(tmp_path / "nowhere" / "out.bin")


def test_folder_that_cannot_be_synced_is_no_failure(old, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(old)
    assert old.read_bytes() == NEW


def test_file_and_folder_are_synced(old, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda d: synced.append(stat.S_ISDIR(os.fstat(d).st_mode)))
    write(old)
    assert synced == [False, True]


def test_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "out.bin"
    with pytest.raises(UsageError, match="exists"), atomic_write(target, force=False):
        target.write_bytes(OLD)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.bin", OLD)]


@pytest.mark.parametrize("appears", [True, False])
def test_file_systems_without_hard_links_work_too(tmp_path, monkeypatch, appears):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "out.bin"
    if appears:
        with pytest.raises(UsageError, match="exists"), atomic_write(target, force=False):
            target.write_bytes(OLD)
    else:
        write(target, force=False)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.bin", OLD if appears else NEW)]


def write_at_once(target, *, force):
    contents = [bytes([65 + n]) * 200_000 for n in range(8)]
    outcomes = []
    start = threading.Barrier(len(contents))

    def work(content):
        start.wait()
        try:
            write(target, content, force=force)
            outcomes.append("done")
        except UsageError:
            outcomes.append("exists")

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() in contents
    assert len(list(target.parent.iterdir())) == 1
    return sorted(outcomes)


def test_of_writers_at_once_without_force_exactly_one_wins(tmp_path):
    assert write_at_once(tmp_path / "out.bin", force=False) == ["done"] + ["exists"] * 7


def test_of_writers_at_once_with_force_one_is_left_whole(tmp_path):
    assert write_at_once(tmp_path / "out.bin", force=True) == ["done"] * 8


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o444])
def test_permissions_of_a_replaced_file_are_kept(old, mode):
    old.chmod(mode)
    write(old)
    assert stat.S_IMODE(old.stat().st_mode) == mode
    assert old.read_bytes() == NEW


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write(tmp_path / "out.bin")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.bin").stat().st_mode) == mode


def test_symbolic_link_stays_and_its_file_is_replaced(old, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to(old)
    write(link)
    assert link.is_symlink()
    assert old.read_bytes() == NEW


def test_dangling_link_gets_its_file(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "later")
    write(link, force=False)
    assert (tmp_path / "later").read_bytes() == NEW


def test_device_is_written_directly():
    write(Path(os.devnull), force=False)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_pipe_is_written_directly(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    check_target(pipe, force=False)
    write(pipe, force=False)
    reader.join()
    assert got == [NEW]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("redirected", [True, False])
def test_dev_stdout_is_written_directly(tmp_path, redirected):
    code = """
from pathlib import Path
from convcli.system.files import atomic_write, check_target
check_target(Path("/dev/stdout"), force=False)
with atomic_write(Path("/dev/stdout"), force=False) as file:
    file.write(b"new content")
"""
    if redirected:
        with open(tmp_path / "out.bin", "wb") as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, check=True, timeout=60)
        assert (tmp_path / "out.bin").read_bytes() == b"new content"
    else:
        assert run_python(code).stdout == b"new content"


def test_closed_pipe_is_not_turned_into_another_error(tmp_path):
    with pytest.raises(BrokenPipeError), atomic_write(tmp_path / "out.bin", force=True):
        raise BrokenPipeError


def test_target_that_exists_is_refused_before_any_work(old):
    with pytest.raises(UsageError, match=r"out\.bin exists; use -f to overwrite it, or another name"):
        check_target(old, force=False)
    check_target(old, force=True)


@pytest.mark.parametrize("force", [True, False])
def test_folder_as_target_is_refused(tmp_path, force):
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        check_target(tmp_path, force=force)


@pytest.mark.parametrize("force", [True, False])
def test_missing_folder_is_refused(tmp_path, force):
    with pytest.raises(UsageError, match=r"folder .*nowhere does not exist; make it first"):
        check_target(tmp_path / "nowhere" / "out.png", force=force)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_target_that_is_an_input_is_refused_by_inode(old, link):
    other = old.with_name("other.bin")
    link(old, other)
    with pytest.raises(UsageError, match=r"other\.bin is the input .*out\.bin itself; use -f"):
        check_target(other, force=False, inputs=[Path("nowhere"), old])
    check_target(other, force=True, inputs=[old])


def test_name_too_long_is_an_error_in_words(tmp_path):
    with pytest.raises(FileError, match="File name too long"):
        check_target(tmp_path / ("x" * 300), force=False)
    with pytest.raises(FileError, match="File name too long"):
        write(tmp_path / ("x" * 300), force=False)


def test_longest_name_can_be_written(tmp_path):
    write(tmp_path / ("x" * 255), force=False)


def test_name_that_is_not_utf_8_works_and_is_printable(tmp_path):
    target = tmp_path / os.fsdecode(b"caf\xe9\x1b[31m.bin")
    write(target, force=False)
    assert target.read_bytes() == NEW
    with pytest.raises(UsageError) as caught:
        write(target, force=False)
    assert r"caf\xe9\x1b[31m.bin exists" in str(caught.value)
    assert str(caught.value).encode("utf-8").isascii()


@pytest.mark.parametrize(
    ("path", "text"), [("photo.png", "photo.png"), ("größe.png", "größe.png"), ("a\tb\u202e", r"a\tb\u202e")]
)
def test_shown_name_has_printable_characters_only(path, text):
    assert shown(path) == text


def test_missing_input_and_folder_are_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.png does not exist"):
        open_input(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        open_input(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        open_input(Path("a\0b"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_permission_denied_is_named():
    # In /tmp: pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "secret.png").write_bytes(OLD)
        (folder / "secret.png").chmod(0)
        code = """
import os, sys
from pathlib import Path
from convcli.system.files import atomic_write, open_input
from convcli.errors import ConvcliError
os.setuid(65534)
for attempt in (lambda p: open_input(p), lambda p: atomic_write(p, force=True).__enter__()):
    try:
        attempt(Path(sys.argv[1]))
    except ConvcliError as error:
        print(error.exit_status, error)
"""
        lines = run_python(code, str(folder / "secret.png")).stdout.decode().splitlines()
        assert lines == [
            f"3 {folder}/secret.png cannot be read: Permission denied",
            f"1 cannot write {folder}/secret.png: Permission denied; the old file is unchanged",
        ]
