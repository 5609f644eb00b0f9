# The scalar `key` of the block mapping `section` of a YAML document, or at its top.
function plain(text) {
  sub(/^[ ]+/, "", text)
  sub(/[ ]+(#.*)?$/, "", text)
  if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
  return text
}
/^[^ #-]/ { inside = (section != "" && $0 ~ "^" section ":") }
section == "" && index($0, key ":") == 1 { print plain(substr($0, length(key) + 2)); exit }
inside && $0 ~ "^ +" key ":" { sub("^ +" key ":", ""); print plain($0); exit }
