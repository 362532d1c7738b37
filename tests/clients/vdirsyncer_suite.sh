#!/usr/bin/env bash
# vdirsyncer's own storage tests for CalDAV, from its source distribution.
. "$(dirname "$0")/lib.sh"
VERSION=$(python3 -c 'import importlib.metadata as m; print(m.version("vdirsyncer"))') || exit 1
cd "$WORK" || exit 1
pip download -q --no-binary vdirsyncer --no-deps "vdirsyncer==$VERSION" >pip.log 2>&1 || { cat pip.log; exit 1; }
tar xzf "vdirsyncer-$VERSION.tar.gz"
cd "vdirsyncer-$VERSION" || exit 1
mkdir -p tests/storage/servers/target
# As its other servers: where a storage is, and a collection of a name nobody uses in it.
cat >tests/storage/servers/target/__init__.py <<'END'
import os

import pytest


class ServerMixin:
    @pytest.fixture
    def get_storage_args(self, request, aio_connector, slow_create_collection):
        async def inner(collection="test"):
            args = {
                "url": os.environ["TARGET_URL"],
                "username": os.environ["TARGET_USER"],
                "password": os.environ["TARGET_PASSWORD"],
                "connector": aio_connector,
            }
            if collection is not None:
                args = await slow_create_collection(self.storage_class, args, collection)
            return args

        return inner
END
export DAV_SERVER=target TARGET_URL=$URL TARGET_USER=$USER_NAME TARGET_PASSWORD=$PASSWORD
timeout 600 python3 -m pytest -q -rxXs -p no:cacheprovider -o addopts= tests/storage/dav/test_caldav.py >"$WORK/pytest.log" 2>&1
CODE=$?
grep -E '^(FAILED|ERROR|XFAIL|XPASS|SKIPPED)' "$WORK/pytest.log"
[ $CODE -eq 0 ] || sed -n '/= FAILURES =/,/= short test summary/p' "$WORK/pytest.log" | tail -200
tail -1 "$WORK/pytest.log" | sed 's/^=* *\(.*[^ =]\) *=*$/vdirsyncer suite: \1/'
exit $CODE
