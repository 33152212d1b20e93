"""GenAI Intelligence: a page of widgets that each answer one question by themselves.

`scope` is what the page is asked, `answers` what a widget gives back, `page` the bar above them,
`widgets` the list. Every other module holds the widgets of one family; each is a function from
a scope to an answer, and asks `reports.engine.query` like any report.
"""
