"""Every directive of logrotate's language, with arguments that it takes and that it does not."""

from __future__ import annotations

SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")

BODIES = (
    'echo "NAME $# $*" >> /FOLDER/order',
    'echo "NAME $# $*" >> /FOLDER/order; ls /FOLDER/log >> /FOLDER/order',
    'echo "NAME $# $*"; echo "NAME: to standard error" >&2',
    'echo "NAME $1" >> /FOLDER/order\n\t\texit 1',
    "false",
    "exit 3",
    "kill -9 $$",
    "/FOLDER/bin/nothing",
    'for name in "$@"; do echo "$name" >> /FOLDER/order; done',
    "ls -l /FOLDER/log | wc -l >> /FOLDER/order",
    "\tcd /\n\n# a comment\n\ttest -e /FOLDER/log/a.log && echo there >> /FOLDER/order || true",
    "",
)
"""What scripts do; NAME is which one it is. They tell in what order they ran, and with what arguments."""

COUNTS = ("0", "1", "1", "2", "3", "3", "3", "5", "10")
NO_COUNTS = ("-1", "-2", "x", "", "1x", "0x2", "010", "99999999999999999999", "2 3")
SIZES = ("0", "1", "10", "100", "100", "1k", "1K", "1M", "1G")
NO_SIZES = ("10b", "-1", "", "k", "1kk", "1.5k", "100 k", "1T", "99999999999999999999")
DAYS = ("0", "1", "2", "7", "30", "365")
NO_DAYS = ("-1", "x", "", "1 day")
OWNERSHIPS = (
    "",
    "0600",
    "640",
    "0644 root root",
    "0640 root adm",
    "root adm",
    "0660 nobody nogroup",
    "0600 65534 65534",
)
NO_OWNERSHIPS = (
    "nobody",
    "0644 nobody",
    "0644 nosuchuser root",
    "0644 root nosuchgroup",
    "9999",
    "0644 root adm more",
    "07777",
    "-1",
)
FORMATS = ("-%Y%m%d", "-%Y%m%d", ".%Y-%m-%d", "-%Y%m%d%H", "-%Y%m%d-%H%M%S", "-%s", "-%Y-%V", "-%Y", "%Y%m%d")
NO_FORMATS = ("-%d%m%Y", "-%%Y%m", "-%Q", "", "-fixed", '"-%Y %m"', ".%Y/%m", "-%Y*%m", "-%Y[%m]", "-%", "-%Y %m")
EXTENSIONS = (".log", "log", ".txt", ".bak")
NO_EXTENSIONS = ("", "g", ".log more", "/x")

Directive = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Its name, arguments that are good, and others; empty for none."""
NONE = ("",)
ANY = ("1", "yes")

COMMON: tuple[Directive, ...] = (
    ("rotate", COUNTS, NO_COUNTS),
    ("rotate", COUNTS, NO_COUNTS),
    ("rotate", COUNTS, NO_COUNTS),
    ("rotate", COUNTS, NO_COUNTS),
    ("hourly", NONE, ANY),
    ("daily", NONE, ANY),
    ("daily", NONE, ANY),
    ("weekly", ("", "", "0", "1", "3", "6", "7"), ("8", "-1", "x", "1 2")),
    ("monthly", NONE, ANY),
    ("yearly", NONE, ANY),
    ("size", SIZES, NO_SIZES),
    ("minsize", SIZES, NO_SIZES),
    ("maxsize", SIZES, NO_SIZES),
    ("compress", NONE, ANY),
    ("compress", NONE, ANY),
    ("delaycompress", NONE, ANY),
    ("create", OWNERSHIPS, NO_OWNERSHIPS),
    ("create", OWNERSHIPS, NO_OWNERSHIPS),
    ("missingok", NONE, ANY),
    ("missingok", NONE, ANY),
    ("notifempty", NONE, ANY),
    ("copytruncate", NONE, ANY),
    ("dateext", NONE, ANY),
    ("dateext", NONE, ANY),
    ("dateformat", FORMATS, NO_FORMATS),
    ("olddir", ("old", "/FOLDER/old", "../old"), ("",)),
    ("sharedscripts", NONE, ANY),
    ("extension", EXTENSIONS, NO_EXTENSIONS),
    ("start", COUNTS, NO_COUNTS),
    ("maxage", DAYS, NO_DAYS),
)
"""One that is named twice is as often again."""

RARE: tuple[Directive, ...] = (
    ("copy", NONE, ANY),
    ("renamecopy", NONE, ANY),
    ("nocopy", NONE, ANY),
    ("nocopytruncate", NONE, ANY),
    ("norenamecopy", NONE, ANY),
    ("nocompress", NONE, ANY),
    ("nodelaycompress", NONE, ANY),
    ("nocreate", NONE, ANY),
    ("nomissingok", NONE, ANY),
    ("ifempty", NONE, ANY),
    ("nodateext", NONE, ANY),
    ("dateyesterday", NONE, ANY),
    ("datehourago", NONE, ANY),
    ("noolddir", NONE, ANY),
    (
        "olddir",
        ("old/deep", "~/old", '"/FOLDER/with space"', "."),
        ("", "/FOLDER/missing", "missing", "/FOLDER/logrotate.conf", "/dev/null", "with space"),
    ),
    ("createolddir", OWNERSHIPS, NO_OWNERSHIPS),
    ("nocreateolddir", NONE, ANY),
    ("nosharedscripts", NONE, ANY),
    ("addextension", EXTENSIONS, NO_EXTENSIONS),
    ("minage", DAYS, NO_DAYS),
    ("shred", NONE, ANY),
    ("noshred", NONE, ANY),
    ("shredcycles", ("1", "2"), ("-1", "x", "", "0")),
    ("mail", ("someone@example.org",), ("", "two words")),
    ("nomail", NONE, ANY),
    ("mailfirst", NONE, ANY),
    ("maillast", NONE, ANY),
    (
        "su",
        ("root root", "nobody nogroup", "root adm", "0 0"),
        ("root", "", "nosuchuser root", "root nosuchgroup", "root adm x"),
    ),
    ("allowhardlink", NONE, ANY),
    ("noallowhardlink", NONE, ANY),
    ("ignoreduplicates", NONE, ANY),
    (
        "compresscmd",
        ("/bin/gzip", "gzip", "/FOLDER/bin/press"),
        ("/FOLDER/bin/fails", "/FOLDER/bin/nothing", "", "/bin/gzip -9", "/FOLDER/bin"),
    ),
    ("uncompresscmd", ("/bin/gunzip", "gunzip", "/bin/cat"), ("/FOLDER/bin/nothing", "", "/bin/false")),
    ("compressext", (".gz", ".press"), ("press", "", "/x")),
    ("compressoptions", ("-9", "-1 -n", '"-9"'), ("--bad", "")),
)

STRANGE: tuple[Directive, ...] = (
    (
        "include",
        ("/FOLDER/included.d", "/FOLDER/included.d/one", "included.d", "~/included.d"),
        ("/FOLDER/nothing", ""),
    ),
    ("tabooext", (".bak", "+ .bak", "+ .bak,.old", ".one,~", "+ *e"), ("", "+", "+.bak", ",", "+ ,x")),
    ("taboopat", ("*.bak", "+ *.bak,o*", "*"), ("", "+", "[", "+*.bak")),
    ("errors", NONE, ("someone@example.org",)),
    ("prerotate", NONE, ANY),
    ("nosuchdirective", ("", "value"), ("=",)),
    ("Compress", NONE, ANY),
    ("endscript", NONE, ANY),
)
"""What belongs elsewhere, or nowhere."""

THEMES: tuple[tuple[str, ...], ...] = (
    ("mail someone@example.org",),
    ("mail someone@example.org", "compress"),
    ("mail someone@example.org", "mailfirst", "compress"),
    ("mail someone@example.org", "dateext", "maxage 2"),
    ("mail someone@example.org", "compress", "delaycompress"),
    ("shred", "rotate 1"),
    ("shred", "shredcycles 1", "compress"),
    ("shred", "copytruncate", "mail someone@example.org"),
    ("su nobody nogroup",),
    ("su nobody nogroup", "compress", "create"),
    ("su nobody nogroup", "copytruncate", "olddir old", "createolddir"),
    ("su nobody adm", "create 0640 nobody adm", "dateext"),
    ("olddir old", "createolddir 0750 root adm"),
    ("olddir /FOLDER/old", "compress", "dateext"),
    ("olddir old", "renamecopy"),
    ("olddir old", "copytruncate", "rotate -1", "maxage 3"),
    ("dateext", "rotate 2"),
    ("dateext", "hourly"),
    ("dateext", "hourly", "datehourago"),
    ("dateext", "daily", "dateyesterday"),
    ("dateext", "dateformat -%Y%m%d-%s", "rotate 2"),
    ("dateext", "dateformat .%Y-%m-%d", "compress", "delaycompress"),
    ("dateext", "extension .log", "compress"),
    ("dateext", "addextension .bak"),
    ("dateext", "rotate 1", "maxage 1", "compress", "delaycompress"),
    ("compress", "delaycompress", "rotate 3"),
    ("compress", "copytruncate"),
    ("compress", "copy"),
    ("compress", "renamecopy"),
    ("compress", "start 0"),
    ("compress", "extension .log", "rotate 3"),
    ("compress", "addextension .log", "rotate 3"),
    ("compress", "compresscmd /FOLDER/bin/press", "compressext .press"),
    ("compress", "compresscmd /FOLDER/bin/press", "compressext .press", "compressoptions -a -b"),
    ("compress", "compresscmd /FOLDER/bin/fails"),
    ("compress", "compresscmd /FOLDER/bin/nothing"),
    ("rotate -1", "maxage 5"),
    ("rotate 0", "mail someone@example.org"),
    ("maxage 1", "rotate 5", "compress"),
    ("minage 1", "daily"),
    ("minsize 100", "daily"),
    ("maxsize 100", "weekly"),
    ("maxsize 100", "minsize 200", "monthly"),
    ("size 100", "minage 2"),
    ("missingok", "notifempty"),
    ("notifempty", "sharedscripts", 'postrotate\n\t\techo "shared $*" >> /FOLDER/order\n\tendscript'),
    ("sharedscripts", "prerotate\n\t\texit 1\n\tendscript"),
    ('preremove\n\t\techo "remove $*" >> /FOLDER/order\n\tendscript', "rotate 1"),
    ("create 0640 nobody nogroup", "allowhardlink"),
    ("ignoreduplicates",),
)
"""What is often used together."""
