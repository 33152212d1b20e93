"""Twenty typical reports as query strings of the report page. `365d` is the whole ledger."""

REPORTS = {
    "total of 30 days": "metrics=cost&range=30d",
    "service by day, 30 days": "metrics=cost&range=30d&group_by=service&interval=day",
    "service by day, 90 days": "metrics=cost&range=90d&group_by=service&interval=day",
    "model by month, a year": "metrics=cost&range=365d&group_by=sku&interval=month",
    "service and model by week, a year": (
        "metrics=cost&range=365d&group_by=service,sku&interval=week"
    ),
    "what was billed, a year": "metrics=cost,list_cost,savings&range=365d&group_by=token_type",
    "token kinds by day, 90 days": (
        "metrics=uncached_input_tokens,cache_read_tokens,cache_write_5m_tokens,output_tokens"
        "&range=90d&interval=day"
    ),
    "requests by model, a year": "metrics=requests,total_tokens&range=365d&group_by=sku",
    "cost per million tokens by model, 30 days": (
        "metrics=cost_per_million_tokens&range=30d&group_by=sku"
    ),
    "top people, 30 days": "metrics=cost&range=30d&group_by=user_email&show=top-10",
    "top people, a year": "metrics=cost&range=365d&group_by=user_email&show=top-10",
    "everybody by month, a year": "metrics=cost&range=365d&group_by=project_id&interval=month",
    "cost and tokens of everybody, 30 days": (
        "metrics=cost,total_tokens&range=30d&group_by=project_id"
    ),
    "one person by day, a year": (
        "metrics=cost,requests&range=365d&interval=day&project_id=user_000007"
    ),
    "people with usage by month, a year": "metrics=people&range=365d&interval=month",
    "cost per active user by week, 90 days": (
        "metrics=cost_per_active_user&range=90d&interval=week"
    ),
    "nobody's cost by service, a year": "metrics=cost&range=365d&group_by=service&project_id=",
    "people of one product, 30 days": (
        "metrics=cost&range=30d&group_by=user_email&service=claude_code"
    ),
    "people and models, 30 days": "metrics=cost&range=30d&group_by=project_id,sku",
    "against the period before, 30 days": (
        "metrics=cost&range=30d&group_by=service&compare=previous"
    ),
}
DASHBOARDS = ("range=30d", "range=90d")
