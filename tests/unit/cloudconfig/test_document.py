import pytest

from kairos_netboot.boot.site import Template
from kairos_netboot.cloudconfig.document import build
from kairos_netboot.cloudconfig.watcher import watch_script
from kairos_netboot.cloudconfig.yamlnodes import find, items, parse, to_value
from kairos_netboot.errors import DocumentProblem

REPORT_URL = "http://192.0.2.1:8080/reports/00000000000000000000000000000000"

BASE = """\
#cloud-config
# What every machine of the rack has.
users:
- name: kairos
  groups: [admin]
  ssh_authorized_keys:
  - ssh-ed25519 AAAA ops
install:
  auto: true
  reboot: true
  device: auto
stages:
  initramfs:
  - name: greeting
    files:
    - path: /etc/motd
      permissions: 0644
      content: |
        This is {{ node.name }}.
          Be kind to it.
  network:
  - commands: ["echo up"]
"""

NODE = """\
#cloud-config
hostname: {{ node.name }}
install:
  device: {{ disk }}
bmc: 52:54:00:12:34:56
legacy: yes
"""

GOLDEN = r"""#cloud-config
users:
- name: kairos
  groups: [admin]
  ssh_authorized_keys:
  - ssh-ed25519 AAAA ops
install:
  auto: true
  reboot: true
  device: /dev/vda
stages:
  initramfs:
  - name: greeting
    files:
    - path: /etc/motd
      permissions: 0644
      content: |
        This is rack-1.
          Be kind to it.
  network:
  - commands: ["echo up"]
  - name: "kairos-netboot: report ready"
    commands:
    - |-
      line=" $(cat /proc/cmdline) "
      case "$line" in
        *" kairos.ram "*) boot=ram ;;
        *" netboot "*) exit 0 ;;
        *COS_ACTIVE*) boot=active ;;
        *COS_PASSIVE*) boot=passive ;;
        *COS_RECOVERY*|*COS_SYSTEM*|*recovery-mode*) boot=recovery ;;
        *) boot= ;;
      esac
      told=/usr/local/.kairos-netboot/SENTINEL
      [ -e "$told" ] && exit 0
      facts() {
        version=$(sed -n 's/^KAIROS_VERSION=//p' /etc/kairos-release 2>/dev/null | tr -d '"' | tr -d "'")
        addresses=$(ip -o addr show scope global 2>/dev/null |
          sed -n 's|.* inet6* \([^ /]*\).*|\1|p')
        [ -n "$addresses" ] || addresses=$(
          sed -n '/|-- /{s/.*|-- //;h;}; /host LOCAL/{g;p;}' /proc/net/fib_trie 2>/dev/null |
            grep -v '^127[.]' | sort -u)
        addresses=$(echo $addresses | tr ' ' ,)
      }
      tell() {
        n=0
        until [ "$n" -ge "$1" ]; do
          n=$((n + 1))
          facts
          case "$(CURL --data-urlencode "hostname=$(cat /proc/sys/kernel/hostname)" --data-urlencode "addresses=$addresses" --data-urlencode "version=$version" --data-urlencode "boot=$boot" URL/ready)" in
            2*) mkdir -p "${told%/*}" && : > "$told"; return 0 ;;
            4*) return 0 ;;
          esac
          sleep "$2"
        done
        return 1
      }
      tell 2 2 || { (exec < /dev/null > /dev/null 2>&1; tell 90 10) & }
  kairos-install.pre:
  - name: "kairos-netboot: report install-started"
    files:
    - path: "/run/kairos-netboot-watch.sh"
      permissions: 384
      content: |
        WATCH
    commands:
    - |-
      n=0
      until [ "$n" -ge 2 ]; do
        n=$((n + 1))
        case "$(CURL --data-urlencode event=install-started URL/install-started)" in 2*|4*) break ;; esac
        sleep 2
      done
    - "[ ! -e /run/kairos-netboot-watch.sh ] || sh /run/kairos-netboot-watch.sh start"
  before-install:
  - name: "kairos-netboot: report step/partitioned"
    commands:
    - |-
      n=0
      until [ "$n" -ge 2 ]; do
        n=$((n + 1))
        case "$(CURL --data-urlencode event=step/partitioned URL/step/partitioned)" in 2*|4*) break ;; esac
        sleep 2
      done
  after-install:
  - name: "kairos-netboot: report step/written"
    commands:
    - |-
      n=0
      until [ "$n" -ge 2 ]; do
        n=$((n + 1))
        case "$(CURL --data-urlencode event=step/written URL/step/written)" in 2*|4*) break ;; esac
        sleep 2
      done
  kairos-install.after:
  - name: "kairos-netboot: report install-finished"
    commands:
    - |-
      n=0
      until [ "$n" -ge 30 ]; do
        n=$((n + 1))
        case "$(CURL --data-urlencode event=install-finished URL/install-finished)" in 2*|4*) break ;; esac
        sleep 5
      done
    - "[ ! -e /run/kairos-netboot-watch.sh ] || sh /run/kairos-netboot-watch.sh end"
hostname: rack-1
bmc: 52:54:00:12:34:56
legacy: yes
config_url: ""
"""  # noqa: E501

VARIABLES = {"node": {"name": "rack-1"}, "disk": "/dev/vda"}


def templates(*texts: str) -> list[Template]:
    return [Template(name=f"{n}.yaml", text=text) for n, text in enumerate(texts, 1)]


def indented(script: str) -> str:
    """As it stands in the document; tests/wire/test_watcher.py runs it."""
    return "".join(f"        {line}\n" for line in script.splitlines())


def findings(*texts: str) -> list[str]:
    built = build(templates(*texts), VARIABLES, REPORT_URL)
    return [str(finding) for finding in built.findings]


def test_the_whole_document_of_a_node() -> None:
    built = build(templates(BASE, NODE), VARIABLES, REPORT_URL)
    expected = (
        GOLDEN.replace("        WATCH\n", indented(watch_script(REPORT_URL)))
        .replace("CURL", "curl -sS -m 5 --noproxy '*' -o /dev/null -w '%{http_code}'")
        .replace("URL", REPORT_URL)
        .replace("SENTINEL", "84e0c0eafaa95a34")
    )
    assert built.text == expected
    assert built.findings == ()


def test_spelling_survives_the_whole_way() -> None:
    text = (
        "#cloud-config\nmode: 0644\nanswer: yes\nmac: 52:54:00:12:34:56\n"
        "quoted: '0644'\nblock: |-\n  a\n   b\nfolded: >\n  one two\n"
    )
    built = build(templates(text), {}, REPORT_URL)
    assert built.text.startswith(text)


def test_later_templates_lie_over_earlier_ones() -> None:
    assert findings(BASE, "#cloud-config\ninstall: {auto: false, device: /dev/vdb}\n") == [
        "2.yaml:2: install.auto: it must be true: "
        "the installer would wait for someone at the console"
    ]


def test_our_hooks_follow_the_templates_own() -> None:
    root = parse(build(templates(BASE), VARIABLES, REPORT_URL).text, "x")
    names = [to_value(find(entry, "name")) for entry in items(find(root, "stages", "network"))]
    assert names == [None, "kairos-netboot: report ready"]


def test_every_template_needs_its_header() -> None:
    told = findings(BASE, "hostname: x\n")
    assert told[0].startswith("2.yaml:1: no line '#cloud-config'")


def test_a_config_url_is_found_even_where_a_later_template_empties_it() -> None:
    told = findings(
        BASE + "config_url: http://a/\n", '#cloud-config\nconfig_url: ""\ninstall: {device: /dev/a}'
    )
    assert len(told) == 1
    assert told[0].startswith("1.yaml:23: config_url: remove it")


def test_a_config_url_is_told_once() -> None:
    told = findings(NODE, BASE, "#cloud-config\nconfig_url: http://a/\n")
    assert len([line for line in told if "config_url" in line]) == 1


def test_templates_that_clash_are_told_with_both_places() -> None:
    told = findings(BASE, NODE, "#cloud-config\nusers: {kairos: {}}\n")
    assert told[0] == ("3.yaml:2: users: a mapping takes the place of a list from 1.yaml:4")


def test_an_empty_template_adds_nothing() -> None:
    empty = build(templates(BASE, "#cloud-config\n# later\n", NODE), VARIABLES, REPORT_URL)
    assert empty == build(templates(BASE, NODE), VARIABLES, REPORT_URL)


def test_a_template_that_is_no_mapping_has_no_document() -> None:
    with pytest.raises(DocumentProblem, match=r"^1\.yaml:2: a list is here: write a mapping"):
        build(templates("#cloud-config\n- users\n"), {}, REPORT_URL)


def test_an_undefined_name_has_no_document() -> None:
    with pytest.raises(DocumentProblem, match=r"^1\.yaml:3: 'node' is undefined"):
        build(templates("#cloud-config\n\na: {{ node.name }}\n"), {}, REPORT_URL)


def test_no_templates_make_a_document_with_errors() -> None:
    built = build([], {}, REPORT_URL)
    assert [finding.key for finding in built.errors] == ["users", "install"]


def test_errors_are_the_findings_that_must_be_mended() -> None:
    built = build(templates(BASE), VARIABLES, REPORT_URL)
    assert built.errors == ()
    assert [finding.key for finding in built.findings] == ["install.device"]


def test_a_document_beyond_a_megabyte_is_an_error() -> None:
    long = "#cloud-config\nx: " + "a" * 600_000
    told = findings(BASE, NODE, long, long.replace("x:", "y:"))
    assert told[-1].endswith("the finished document is larger than 1000000 bytes")
