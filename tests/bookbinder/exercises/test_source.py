def test_x(book, call, exercise):
    from bookbinder.exercises import audit, reader
    for e in book.sheets: pass
    reader.refresh(book.sheets[0])
    print(audit.audit_one(exercise()), audit.audit_one(exercise("numbers.lift")))
    print(call("exercise", "audit"))
    assert 0
