name={{ node.name }}
report={{ report_url }}
