"""A home in this process, and a real one for each worker."""

from __future__ import annotations

from tests.collector.conftest import data_folder as data_folder
from tests.collector.conftest import home as home
from tests.collector.conftest import host as host
from tests.collector.conftest import initialised as initialised
from tests.faults.logs.conftest import memory as memory
from tests.faults.logs.conftest import trials as trials
from tests.web.conftest import browser as browser
from tests.web.conftest import db_place as db_place
from tests.web.conftest import site as site
from tests.web.conftest import visit as visit
