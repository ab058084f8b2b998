"""The members of examples/online_retail's five segments at three instants of 2011, by SQL over the file itself.

Written from the definitions in words, in another language, over the raw lines; it shares nothing with Jumelle. A person is a
customer, or an invoice without one. A line's amount is rounded to the penny, then an invoice's lines are summed. A window of N days
at T holds the times t with T − N days < t ≤ T. Invoices beginning with C are cancellations, those with A are bookkeeping.

    python online_retail_oracle.py online_retail.parquet            {instant: {segment: count}}
    python online_retail_oracle.py online_retail.parquet --members SEGMENT INSTANT
"""

import json
import sys

import duckdb

INSTANTS = ["2011-06-01T00:00:00Z", "2011-09-01T00:00:00Z", "2011-12-01T00:00:00Z"]

VIEWS = """
create view lines as
  select InvoiceNo as invoice, StockCode as product, Description as name, Country as country,
         coalesce('customer ' || cast(cast(CustomerID as bigint) as varchar), 'invoice ' || InvoiceNo) as person,
         -- half away from zero, on exact decimals
         round(cast(Quantity as decimal(18, 0)) * cast(UnitPrice as decimal(18, 3)), 2) as amount,
         InvoiceDate as moment, file_row_number as place
  from read_parquet('{file}', file_row_number = true);
create view invoices as
  select invoice, any_value(person) as person, arg_min(moment, place) as moment, arg_min(country, place) as country,
         sum(amount) as total
  from lines group by invoice;
create view orders as select * from invoices where invoice not like 'C%' and invoice not like 'A%';
create view cancellations as select * from invoices where invoice like 'C%';
"""

SEGMENTS = {
    "big_spenders_gone_quiet": """
        select person from orders where moment > $t - interval 90 days and moment <= $t group by person having sum(total) >= 1000
        except
        select person from orders where moment > $t - interval 30 days and moment <= $t""",
    "candle_lovers": """
        select person from lines join orders using (invoice, person)
        where orders.moment <= $t and contains(lines.name, 'CANDLE') group by person having count(distinct lines.product) >= 3""",
    "regulars": """
        select person from orders where moment > $t - interval 180 days and moment <= $t group by person having count(*) >= 5""",
    "second_thoughts": """
        select person from cancellations where moment > $t - interval 60 days and moment <= $t group by person having count(*) >= 2
        intersect
        select person from orders where moment > $t - interval 60 days and moment <= $t""",
    "large_orders_abroad": """
        select person from orders where moment > $t - interval 365 days and moment <= $t and country <> 'United Kingdom'
        group by person having sum(total) >= 500 * count(*)""",
}


def main():
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(VIEWS.format(file=sys.argv[1]))

    def members(segment, instant):
        moment = instant.replace("T", " ").rstrip("Z")
        sql = SEGMENTS[segment].replace("$t", f"timestamp '{moment}'")
        return sorted(row[0] for row in connection.execute(sql).fetchall())

    if len(sys.argv) == 5 and sys.argv[2] == "--members":
        print("\n".join(members(sys.argv[3], sys.argv[4])))
    else:
        print(json.dumps({instant: {key: len(members(key, instant)) for key in SEGMENTS} for instant in INSTANTS}, indent=1))


if __name__ == "__main__":
    main()
