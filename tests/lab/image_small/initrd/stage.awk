# Writes the commands of one stage of a cloud-config to OUT/NNN, and its entry's name to
# OUT/NNN.name. It reads the block style that the server writes; `- |-` keeps its lines.
function indent(text) { match(text, /^ */); return RLENGTH }
function quoted(text) {
  if (text ~ /^'.*'$/) { text = substr(text, 2, length(text) - 2); gsub(/''/, "'", text) }
  else if (text ~ /^".*"$/) {
    text = substr(text, 2, length(text) - 2)
    gsub(/\\"/, "\"", text)
    gsub(/\\\\/, "\\", text)
  }
  return text
}
function begin() {
  file = sprintf("%s/%s.%03d", out, stage, count++)
  printf "%s", name > (file ".name")
  close(file ".name")
}
literal {
  if ($0 ~ /^ *$/ || indent($0) > item) {
    if (!block) block = indent($0)
    print substr($0, block + 1) > file
    next
  }
  literal = 0
  close(file)
}
/^[^ #-]/ { stages = ($0 ~ /^stages:/); wanted = commands = 0; next }
!stages { next }
/^  [^ -]/ { key = quoted(substr($0, 3, length($0) - 3)); wanted = (key == stage); commands = 0; next }
!wanted { next }
commands && indent($0) >= item && substr($0, indent($0) + 1, 2) == "- " {
  item = indent($0)
  text = substr($0, item + 3)
  begin()
  if (text ~ /^\|[-+]?$/) { literal = 1; block = 0 }
  else { print quoted(text) > file; close(file) }
  next
}
{
  commands = 0
  line = $0
  if (line ~ /^ *- /) { name = ""; sub(/- /, "  ", line) }
  rest = substr(line, indent(line) + 1)
  if (rest ~ /^name:/) { sub(/^name: */, "", rest); name = quoted(rest) }
  else if (rest ~ /^commands:$/) { commands = 1; item = indent(line) }
  else printf "STANDIN: stage %s: the stand-in ignores: %s\n", stage, rest
}
