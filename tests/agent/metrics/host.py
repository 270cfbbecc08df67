"""A host made of files that has what the test machine lacks: RAID, bonds, sensors, throttling, udev, NVMe."""

from __future__ import annotations

from pathlib import Path

from agent.paths import System
from tests.agent.checks.tree import tree

CPU = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 100 20 30 4000 50 6 7 8 9 10\ncpu1 200 0 60 8000 5 0 0 0 0 0\n"
ZEROS = "00000000 " * 9
CPUFREQ_TEXTS = (
    *("scaling_available_governors", "scaling_driver", "scaling_governor", "scaling_setspeed", "related_cpus"),
)
MDSTAT = """\
Personalities : [linear] [raid0] [raid1] [raid5] [raid6] [raid10]
md3 : active raid6 sda1[8] sdh1[7] sdg1[6] sdf1[5] sde1[11] sdd1[3] sdc1[10] sdb1[9] sdd1[10](S) sdd2[11](S)
      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/8] [UUUUUUUU]

md127 : active raid1 sdi2[0] sdj2[1](F)
      312319552 blocks [2/1] [U_]

md0 : active raid1 sdk[2](S) sdi1[0] sdj1[1]
      248896 blocks [2/2] [UU]
      resync =  16.9% (42112/248896) finish=3.8min speed=14000K/sec

md8 : active raid1 sdb1[1] sda1[0]
      195310144 blocks [2/2] [UU]
      [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md9 : active raid1 sdc2[2] sdb2[1] sda2[0]
      523968 blocks super 1.2 [4/4] [UUUU]
      resync=DELAYED

md10 : active raid0 sda1[0] sdb1[1]
      314159265 blocks 64k chunks

md11 : active raid1 sdb2[0] sdc2[1]
      4190208 blocks super 1.2 [2/2] [UU]
      [=>...................]  check =  5.7% (239104/4190208) finish=0.2min speed=239104K/sec

md5 : inactive sdd1[1](S)
      3068288 blocks

unused devices: <none>
"""
FILES = {
    "proc/stat": f"{CPU}intr 42 1 2\nctxt 77\nbtime 1700000000\nprocesses 5\nprocs_running 2\nprocs_blocked 1\n",
    "proc/mdstat": MDSTAT,
    "proc/schedstat": "version 15\ntimestamp 1\ncpu0 0 0 0 0 0 0 2045936778163039 343796328169361 4767485306\n"
    "domain0 3 0 0\ncpu3 0 0 0 0 0 0 1904686152592476 364107263788241 5145567945\n",
    "proc/diskstats": (
        "   8       0 sda 25354637 34367663 1003346126 18492372 28444756 11134226 505697032 "
        "63877960 0 9653880 82621804\n"
        "   8       1 sda1 250 0 2000 36 0 0 0 0 0 36 36\n"
        " 252       0 dm-0 59910002 0 1003337218 46229572 39231014 0 505696880 1158557800 0 11325968 1206301256\n"
        " 259       0 nvme0n1 47114 4 4643973 21650 1078320 43950 39451633 1011053 0 222766 1032546 1 2 3 4\n"
        "   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"
    ),
    "run/udev/data/b8:0": (
        "S:disk/by-id/ata-X\nE:ID_ATA=1\nE:ID_ATA_WRITE_CACHE=1\nE:ID_ATA_WRITE_CACHE_ENABLED=0\n"
        'E:ID_ATA_ROTATION_RATE_RPM=7200\nE:ID_MODEL=TOSHIBA "X"\nE:ID_PATH=pci-0000:00:1f.2-ata-1\n'
        "E:ID_REVISION=GA1\nE:ID_SERIAL=long_serial\nE:ID_SERIAL_SHORT=short\nE:ID_WWN=0x5000\n"
    ),
    "run/udev/data/b252:0": (
        "E:DM_NAME=nvme0n1_crypt\nE:DM_UUID=CRYPT-LUKS2-jolaulot\nE:DM_VG_NAME=system\nE:DM_LV_NAME=root\n"
        "E:ID_FS_TYPE=ext4\nE:ID_FS_USAGE=filesystem\nE:ID_FS_UUID=3deafd0d\nE:ID_FS_VERSION=1.0\n"
    ),
    "run/udev/data/b259:0": "E:ID_SERIAL=SAMSUNG_1\n",
    "proc/meminfo": "MemTotal:  100 kB\nActive(anon): 7 kB\nHugePages_Total:       3\n",
    "proc/net/arp": "IP address  HW type Flags  HW address  Mask Device\n"
    "192.168.1.1 0x1 0x2 cc:aa:dd:ee:aa:bb * eth0\n192.168.1.2 0x1 0x2 bb:cc:dd:ee:ff:aa * eth0\n"
    "192.168.2.1 0x1 0x2 bb:cc:dd:ee:ff:ab * nope\n",
    "proc/net/sockstat": "sockets: used 229\nTCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1\nUDP: inuse 0 mem 0\n",
    "proc/net/sockstat6": "TCP6: inuse 17\nFRAG6: inuse 0 memory 0\n",
    "proc/net/softnet_stat": f"00015c73 00020e76 F0000769 {ZEROS}00000000\n01663fb2 0 000109a4 {ZEROS}00000001\n",
    "proc/net/netstat": "TcpExt: SyncookiesSent TCPTimeouts O\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 6286396970\n",
    "proc/net/snmp": "Ip: Forwarding\nIp: 1\nIcmp: InMsgs InErrors\nIcmp: 104 0\nUdp: InErrors NoPorts\nUdp: 0 98\n",
    "proc/net/snmp6": "Ip6InOctets                     \t460\nIcmp6InMsgs\t0\nUdpLite6InErrors\t9\n",
    "proc/net/udp": "  sl  local_address rem_address   st tx_queue rx_queue\n"
    "   0: 0100007F:0016 00000000:0000 0A 00000015:00000002 00:00000000 00000000 0 0 2740 1 f\n",
    "proc/net/stat/nf_conntrack": (
        "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop "
        "icmp_error  expect_new expect_create expect_delete search_restart\n"
        "00000021  00000000 00000000 00000000 00000003 0000588a 00000000 00000000 00000000 00000000 00000000 00000000"
        " 00000000  00000000 00000000 00000000 00000000\n"
        "00000021  00000000 00000002 00000000 00000002 000056a4 00000000 00000000 00000000 00000000 00000000 00000001"
        " 00000000  00000000 00000000 00000000 00000002\n"
    ),
    "proc/sys/net/netfilter/nf_conntrack_count": "123\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
    "proc/vmstat": "nr_free_pages 9\npgpgin 7344136\npswpout 7\npgfault 40\npgmajfault 5\noom_kill 1\nthp_fault 9\n",
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781\n",
    "proc/pressure/io": "some avg10=0.18 avg60=0.34 avg300=0.10 total=159886802\n"
    "full avg10=0.18 avg60=0.34 avg300=0.10 total=159229614\n",
    "proc/pressure/memory": "some avg10=0 avg60=0 avg300=0 total=1\nfull avg10=0 avg60=0 avg300=0 total=2000000\n",
    "proc/loadavg": "0.21 0.37 0.39 1/719 19737\n",
    "proc/sys/fs/file-nr": "1024\t0\t1631329\n",
    "proc/sys/kernel/domainname": "(none)\n",
    "proc/sys/kernel/random/entropy_avail": "1337\n",
    "proc/sys/kernel/random/poolsize": "4096\n",
    "sys/class/net/bonding_masters": "bond0 dmz\n",
    "sys/class/net/bond0/bonding/slaves": "\n",
    "sys/class/net/dmz/bonding/slaves": "eth0 eth4\n",
    "sys/class/net/dmz/lower_eth0/bonding_slave/mii_status": "up\n",
    "sys/class/net/dmz/lower_eth4/bonding_slave/mii_status": "down\n",
    "sys/class/dmi/id/bios_vendor": "SeaBIOS\n",
    "sys/class/dmi/id/product_name": 'Standard "PC" \\ 1996\n',
    "sys/class/dmi/id/sys_vendor": "QEMU\n",
    "sys/class/nvme/nvme0/firmware_rev": "1B2QEXP7\n",
    "sys/class/nvme/nvme0/model": "Samsung SSD 970 PRO 512GB  \n",
    "sys/class/nvme/nvme0/serial": "S680HF8N190894I\n",
    "sys/class/nvme/nvme0/state": "live\n",
    "sys/class/thermal/thermal_zone0/temp": "12376\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/policy": "step_wise\n",
    "sys/class/thermal/cooling_device0/type": "Processor\n",
    "sys/class/thermal/cooling_device0/max_state": "3\n",
    "sys/class/thermal/cooling_device0/cur_state": "1\n",
    "sys/devices/system/edac/mc/mc0/ce_count": "1\n",
    "sys/devices/system/edac/mc/mc0/ce_noinfo_count": "2\n",
    "sys/devices/system/edac/mc/mc0/ue_count": "5\n",
    "sys/devices/system/edac/mc/mc0/ue_noinfo_count": "6\n",
    "sys/devices/system/edac/mc/mc0/csrow0/ce_count": "3\n",
    "sys/devices/system/edac/mc/mc0/csrow0/ue_count": "4\n",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/devices/platform/coretemp.0/kind": "a device\n",
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "55000\n",
    "sys/class/hwmon/hwmon0/temp1_crit": "100000\n",
    "sys/class/hwmon/hwmon0/temp1_crit_alarm": "0\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Package id 0\n",
    "sys/class/hwmon/hwmon0/temp2_input": "54500\n",
    "sys/class/hwmon/hwmon0/temp2_type": "4\n",
    "sys/class/hwmon/hwmon0/temp2_alarm": "1\n",
    "sys/class/hwmon/hwmon1/name": "nct6779\n",
    "sys/class/hwmon/hwmon1/beep_enable": "1\n",
    "sys/class/hwmon/hwmon1/update_interval": "1500\n",
    "sys/class/hwmon/hwmon1/vrm": "2\n",
    "sys/class/hwmon/hwmon1/fan2_input": "1098\n",
    "sys/class/hwmon/hwmon1/fan2_min": "0\n",
    "sys/class/hwmon/hwmon1/fan2_beep": "0\n",
    "sys/class/hwmon/hwmon1/fan2_pulses": "2\n",
    "sys/class/hwmon/hwmon1/fan2_fault": "0\n",
    "sys/class/hwmon/hwmon1/in0_input": "792\n",
    "sys/class/hwmon/hwmon1/in0_max": "1744\n",
    "sys/class/hwmon/hwmon1/in0_label": "Vcore\n",
    "sys/class/hwmon/hwmon1/curr1_input": "1500\n",
    "sys/class/hwmon/hwmon1/energy1_input": "1500000\n",
    "sys/class/hwmon/hwmon1/power1_average": "2500000\n",
    "sys/class/hwmon/hwmon1/power1_accuracy": "500000\n",
    "sys/class/hwmon/hwmon1/power1_average_interval": "1000\n",
    "sys/class/hwmon/hwmon1/humidity1_input": "450000\n",
    "sys/class/hwmon/hwmon1/intrusion0_alarm": "1\n",
    "sys/class/hwmon/hwmon1/pwm1": "98\n",
    "sys/class/hwmon/hwmon1/pwm1_auto_point1_pwm": "153\n",
    "sys/class/hwmon/hwmon1/temp7_input": "nonsense\n",
}
for _cpu, _core in ((0, 0), (1, 0), (2, 1), (3, 1)):
    _folder = f"sys/devices/system/cpu/cpu{_cpu}"
    FILES |= {
        f"{_folder}/topology/physical_package_id": "0\n",
        f"{_folder}/topology/core_id": f"{_core}\n",
        f"{_folder}/thermal_throttle/core_throttle_count": f"{5 * _core}\n",
        f"{_folder}/thermal_throttle/package_throttle_count": "30\n",
        f"{_folder}/cpufreq/scaling_cur_freq": "1219917\n",
        f"{_folder}/cpufreq/scaling_min_freq": "800000\n",
        f"{_folder}/cpufreq/scaling_max_freq": "3700000\n",
        **{f"{_folder}/cpufreq/{name}": "x\n" for name in CPUFREQ_TEXTS},
        f"{_folder}/cpufreq/cpuinfo_transition_latency": "0\n",
        f"{_folder}/cpufreq/cpuinfo_min_freq": "800000\n",
        f"{_folder}/cpufreq/cpuinfo_max_freq": "3700000\n",
    }


def furnished(root: Path) -> System:
    """The host, in an empty folder."""
    system = tree(root, FILES)
    (root / "sys/class/hwmon/hwmon0/device").symlink_to("../../../devices/platform/coretemp.0")
    return system
