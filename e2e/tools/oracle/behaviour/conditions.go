package main

// conditions are written as users write them: for vectors of Prometheus, for
// single numbers, for JSON of web metrics, and with the mistakes people make.
var conditions = []string{
	// Samples by their place.
	"result[0] >= 0.95", "result[0] > 0.95", "result[0] <= 0.05", "result[0] < 0.05", "result[0] == 0", "result[0] != 0",
	"result[0] >= 1", "result[0] > 10", "result[0] == 5", "result[0] == 5.0", "result[0] != 5", "0.95 <= result[0]",
	"result[1] > 0", "result[1] != 5", "result[2] >= 9", "result[-1] > 0.9", "result[-2] == 1", "result[5] > 1",
	"result[0] >= 0.95 && result[0] <= 1", "result[0] < 0.1 || result[0] > 0.9", "result[0] > 0 and result[0] < 1",
	"result[0] < 1 or result[0] > 5", "not (result[0] > 0.05)", "!(result[0] > 0.05)", "!(result[0] >= 0.95)",
	"result[0] in [0, 1, 5]", "result[0] not in [0, 1]", "result[0] in 0..10", "result[0] > 0.9 ? true : false",
	"result[0] > result[1]", "result[0] - result[1] < 0.5", "result[0] / result[1] > 0.5", "result[0] * 100 >= 95",
	"result[0] ** 2 < 1", "result[0] ^ 2 < 1", "-result[0] < 0", "+result[0] > 0", "abs(result[0]) < 1", "abs(result[0] - 1) <= 0.05",
	"ceil(result[0]) == 1", "floor(result[0]) == 0", "round(result[0]) == 1", "int(result[0]) == 0", "float(result[0]) > 0.5",
	"string(result[0]) == \"0.97\"", "type(result[0]) == \"float\"", "type(result) == \"array\"", "asInt(result[0]) == 0",
	"asInt(result[0]) >= 1", "asFloat(result[0]) >= 0.95", "asFloat(result[0]) == 0.97", "result[0] % 2 == 1", "result[0] + 1 > 1.9",
	"(result[0])>=0.95", "  result[0]>=0.95  ", "result[0] >= .95", "result[0] >= 95e-2", "result[0] >= 0.950", "result[0] >= 1_000",
	"result[0] > 0x10", "result[0]\n>=\n0.95", "result[0] >= 0.95 // the goal", "/* goal */ result[0] >= 0.95",
	"let x = result[0]; x > 0.9 && x < 1", "let n = len(result); n > 0 && result[0] > 0.5",
	// Missing data.
	"len(result) > 0", "len(result) == 0", "len(result) == 1", "len(result) > 0 && result[0] >= 0.95",
	"len(result) == 0 || result[0] >= 0.95", "len(result) == 0 or result[0] < 0.05", "len(result) >= 1 and result[0] < 0.5",
	"isNaN(result[0])", "!isNaN(result[0])", "isNaN(result[0]) || result[0] >= 0.95", "isNaN(result[0]) or result[0] < 0.05",
	"!isNaN(result[0]) && result[0] >= 0.95", "isInf(result[0])", "!isInf(result[0]) && result[0] < 100",
	"len(result) == 0 || isNaN(result[0]) || result[0] >= 0.95", "isNil(result)", "!isNil(result)", "isNil(result[0])",
	"isNil(result) || result[0] > 0.5", "default(result, 0) < 0.05", "default(result, 0) < 5", "default(result, 1) >= 0.95",
	"default(result, 0) == 0", "default(result[0], 0) < 0.05", "result == nil", "result != nil",
	"result == nil || result[0] > 0.5", "result ?? 5 == 5", "(result ?? 0) < 1", "result?.rate ?? 0 > 0.5",
	// Whole vectors.
	"all(result, # < 1000)", "all(result, {# < 10})", "all(result, {# > 0.5})", "all(result, # >= 0.95)", "any(result, # > 5)",
	"any(result, {# < 0.5})", "none(result, # > 0.05)", "none(result, {# > 9})", "one(result, # == 5)", "count(result, # > 2) == 2",
	"count(result, # > 2) >= 1", "len(filter(result, # > 2)) == 2", "len(filter(result, {# >= 0.95})) > 0", "sum(result) > 10",
	"sum(result) / len(result) > 0.5", "mean(result) <= 5", "median(result) == 5", "max(result) < 10", "min(result) > 0.5",
	"max(result) - min(result) == 8", "first(result) >= 0.95", "last(result) > 5", "map(result, # * 2)[0] > 1.9",
	"map(result, {# * 100})[0] >= 95", "sum(map(result, # * 2)) > 10", "reduce(result, #acc + #, 0) > 10", "reduce(result, #acc + #) > 10",
	"reverse(result)[0] == 9", "sort(result)[0] == 1", "sort(result)[-1] > 0.9", "len(uniq(result)) == 3", "5 in result", "5 not in result",
	"1.0 in result", "result[1:] == [5, 9]", "len(result[:2]) == 2", "result[0:1] == [1]", "len(result[1:]) == 0", "result == [1, 5, 9]",
	"result != []", "result == [0.97]", "find(result, # > 2) == 5", "findIndex(result, # > 2) == 1", "findLast(result, # > 2) == 9",
	"findLastIndex(result, # > 2) == 2", "len(take(result, 2)) == 2", "len(concat(result, [1])) > 1", "get(result, 0) > 0.5", "get(result, 9) == nil",
	"result | len() > 0", "result | filter(# > 2) | len() == 2", "result | map(# + 1) | sum() > 10", "all(0..2, # < 3)", "any(result, # != #)",
	"all(result, # == 0 || # > 0.5)", "len(groupBy(result, # > 2)) == 2", "sortBy(result, -#)[0] == 9", "sum(result, # * 2) > 10",
	"indexOf(\"abc\", \"b\") == 1", "filter(result, # > 2)[0] == 5", "count(result) > 0", "len(flatten([result, result])) > 1",
	// Single numbers.
	"result >= 0.95", "result > 0.95", "result < 0.05", "result <= 0.01", "result == 3", "result == 3.0", "result != 3", "result == 0",
	"result < 0.95", "result > 10", "0.95 <= result && result <= 1", "isNaN(result)", "!isNaN(result)", "isNaN(result) || result >= 0.95", "isInf(result)",
	"!isInf(result) && result < 10", "result * 100 > 95", "result in [1, 2, 3]", "result in 1..5", "asInt(result) == 3", "asFloat(result) > 2.5",
	"int(result) == 3", "string(result) == \"3\"", "result + 1 == 4", "result / 2 < 1", "-result < 0", "abs(result) < 1", "round(result) == 3",
	"result % 2 == 1", "not (result > 5)", "!(result > 5)", "result > 1 ? result < 5 : false", "(result) < 0.5", "result ** 2 == 9",
	"max(result, 1) == 3", "min(result, 1) == 1", "result == 3 || result == 4", "result >= 1 and result <= 5",
	// JSON.
	"result == true", "result == false", "result", "!result", "not result", "result == 'up'", "result == \"up\"", "result == `up`", "result != 'down'", "result == 'It works!'", "result == 'true'",
	"result.ok", "!result.ok", "result.ok == true", "result.ok && result.rate >= 0.95", "result.rate >= 0.95", "result.rate < 0.95", "result[\"rate\"] > 0.9", "result['ok']",
	"result.rate * 100 >= 99", "result.count == 3", "result.count > 2 && result.count < 5", "asInt(result.count) == 3", "asInt(result.text) == 42", "asFloat(result.text) > 41.5", "int(result.text) == 42",
	"float(result.text) > 41.5", "asInt(result.name) == 1", "result.text == 42", "result.text == \"42\"", "result.text > 41", "result.name == 'web'", "result.name != 'web'", "result.name contains 'e'", "result.name startsWith 'w'",
	"result.name endsWith \"b\"", "result.name matches '^w.b$'", "result.name matches \"[\"", "not (result.name matches '^x')", "result.name not contains 'x'", "upper(result.name) == 'WEB'", "lower(result.name) == 'web'", "trim(' a ') == 'a'", "len(result.name) == 3",
	"hasPrefix(result.name, 'we')", "split(result.list, ',')[1] == 'b'", "join(['a', 'b'], '-') == 'a-b'", "replace(result.name, 'w', 'W') == 'Web'", "result.name in ['web', 'api']", "result.name == 'web' ? result.rate > 0.9 : true",
	"all(result.items, .value > 0)", "all(result.items, {.value > 5})", "any(result.items, {.name == 'b' && .value > 5})", "any(result.items, #.name == 'c')", "filter(result.items, .value > 5)[0].name == 'b'", "len(filter(result.items, .value > 5)) == 1", "map(result.items, .value)[0] == 1",
	"sum(map(result.items, .value)) == 8", "sum(result.items, .value) == 8", "count(result.items, .value > 5) == 1", "len(result.items) == 2", "len(result.items) in 1..3", "result.items[0].value == 1", "result.items[-1].name == 'b'", "result.items[7].value == 1", "find(result.items, .name == 'b').value == 7", "all(result.items, {asFloat(.value) < 9900})",
	"result.tags.env == 'prod'", "result.tags.env matches '^pro'", "'env' in result.tags", "'zone' in result.tags", "'env' in keys(result.tags)", "len(result.tags) == 1", "result.tags['env'] == 'prod'", "result.tags.zone == nil", "result.tags?.zone == nil", "result.tags.zone ?? 'a' == 'a'", "'prod' in values(result.tags)",
	"result.missing == nil", "result.missing > 1", "result.missing.deeper == 1", "result.missing?.deeper == nil", "result.nothing == nil", "result.nothing ?? 5 == 5", "(result.nothing ?? 5) == 5", "result.nothing > 1", "isNil(result.missing)", "default(result.missing, 5) == 5", "result.rate >= 0.95 && result.missing == nil",
	"result[0].rate > 0.5", "result[0].name == 'a'", "result[1].value == 7", "all(result, .value > 0)", "all(result, #.value > 0)", "any(result, {.name == 'b'})", "len(result) == 2 && result[0].value == 1", "type(result) == 'map'", "type(result.rate) == 'float'", "type(result) == 'nil'", "result.status == 200", "result.status in [200, 204]", "result.status >= 200 && result.status < 300", "string(result.status) == '200'", "result.major == '1'", "result.minor >= '28'",
	"{\"a\": 1}.a == 1", "[1, 2][0] == 1", "len([1, 2, 3]) == 3", "\"a\" + \"b\" == \"ab\"", "1 / 2 == 0.5", "4 % 3 == 1", "2 ** 3 == 8", "1 + 1 == 2", "1 == 1.0", "\"1\" == \"1\"", "'a' < 'b'", "true && !false", "true", "false", "1 in [1, 2]", "1 not in [1, 2]", "true ? false : true", "if result == 3 { true } else { false }", "if len(result) > 0 { result[0] > 0.5 } else { false }", "let a = 1; let b = 2; a + b == 3",
	"duration('1h') > duration('5m')", "now() > date('2020-01-01')", "now() - duration('1h') < now()", "date('2026-01-02') > date('2026-01-01')", "duration('x') > duration('1s')", "len(toPairs({'a': 1})) == 1", "fromPairs([['a', 1]]).a == 1", "bitand(5, 4) == 4", "repeat('a', 3) == 'aaa'", "lastIndexOf('abcb', 'b') == 3", "trimPrefix('abc', 'a') == 'bc'", "trimSuffix('abc', 'c') == 'ab'", "splitAfter('a,b', ',')[0] == 'a,'",
	// As the guides of upstream and of the metric servers have them.
	"result.ok && asFloat(result.successPercent) >= 0.90", "asFloat(result.successPercent) > 0.9", "asInt(result.code) == 200", "result.code in [200, 204] && result.body matches 'ok'",
	"result.code in [200, 204]", "result.code == 200 && result.body == 'ok'", "result.code >= 200 and result.code < 300 and result.body contains 'ok'", "string(result.code) startsWith '2'", "string(result.code) matches '^2[0-9][0-9]$'", "!(result.body contains 'error')",
	"lower(result.body) == 'ok'", "upper(trim(result.body)) == 'OK'", "result.body in ['ok', 'up']", "result.body != '' && result.code < 500", "len(result.body) > 0", "result.body ?? 'none' != 'none'", "(result.body ?? '') == 'ok'",
	"any(result.data, {.ok})", "all(result.data, {.ok})", "none(result.data, {.ok})", "one(result.data, .ok)", "count(result.data, .ok) >= 1", "len(filter(result.data, {!.ok})) == 0", "filter(result.data, .ok)[0].ms < 100", "sum(map(result.data, .ms)) < 1000",
	"sum(map(result.data, {.ms})) / len(result.data) <= 200", "max(map(result.data, .ms)) < 500", "min(map(result.data, .ms)) >= 10", "mean(map(result.data, .ms)) < 150", "median(map(result.data, .ms)) < 150", "all(result.data, {.ms < 500 && .ms > 0})", "any(result.data, {.ms > 300 || !.ok})",
	"len(result.data) == 0 || all(result.data, .ok)", "len(result.data) > 0 && all(result.data, .ok)", "result.data[0].ok", "result.data[0]?.ok ?? false", "result.data[-1].ms < 500", "first(result.data).ok", "last(result.data).ms > 100", "map(result.data, .ms) == [20, 300]", "find(result.data, !.ok)?.ms == 300",
	"all(result[0].Values, {# == 0})", "all(result[0].Values, {# <= 0.05})", "len(result[0].Values) >= 2", "result[0].Values[0] < 0.05", "max(result[0].Values) < 0.05", "sum(result[0].Values) / len(result[0].Values) < 0.05", "result[0].Id == 'rate' && last(result[0].Values) < 0.05",
	"len(result[0].Values) == 0 || mean(result[0].Values) < 0.05", "all(result, {all(.Values, # < 0.05)})", "all(result, {len(.Values) > 0})", "filter(result, {.Id == 'rate'})[0].Values[0] < 0.05",
	"all(result.service_apdex.values.values, {asFloat(.value) >= 9900})", "any(result.service_apdex.values.values, {.value < 9950})", "len(result.service_apdex.values.values) == 2", "map(result.service_apdex.values.values, .value)[0] >= 9900", "result.service_apdex?.values?.values[0].value > 9000",
	"all(result, # < 1)", "all(result, {# < 0.05 || isNaN(#)})", "any(result, isNaN(#))", "none(result, isNaN(#))", "len(result) > 0 && all(result, # < 1)", "len(result) > 0 and !isNaN(result[0]) and result[0] >= 0.95", "len(result) == 0 || (!isNaN(result[0]) && result[0] < 0.05)",
	"len(filter(result, !isNaN(#))) > 0 && all(filter(result, !isNaN(#)), # < 1)", "isNaN(result[0]) ? false : result[0] >= 0.95", "len(result) > 0 ? result[0] >= 0.95 : false", "len(result) > 0 ? result[0] < 0.05 : true", "isInf(result[0]) || result[0] < 100", "default(result, 0) < 1", "default(result, 0) <= 0.01", "default(result, 100) >= 99",
	"isNil(result) ? true : result < 0.05", "!isNil(result) && result[0] < 0.05", "result[0] >= 0.95 ? true : result[0] >= 0.9", "result[0] == 0 || result[0] >= 0.95", "result[0] < 0.05 && result[0] >= 0", "max(result) < 0.5 || len(result) < 2",
	"let bad = filter(result, # > 0.05); len(bad) == 0", "let rate = result.rate; rate >= 0.95 && result.count > 2", "result.rate >= 0.95 ? result.count > 0 : false", "result.ok and result.name in ['web', 'api'] and result.count > 0", "result.tags.env == 'prod' || result.rate > 0.4",
	"result.items | filter(.value > 5) | map(.name) | len() == 1", "result.items | map(.value) | sum() < 10", "join(map(result.items, .name), ',') == result.list", "split(result.list, ',') == map(result.items, .name)", "all(split(result.list, ','), # != '')", "sort(map(result.items, .value))[-1] == 7",
	"result.text matches '^[0-9]+$' && int(result.text) > 40", "trimPrefix(result.name, 'w') == 'eb'", "replace(result.name, 'b', '') == 'we'", "hasSuffix(result.name, 'b')", "indexOf(result.name, 'e') == 1", "result.name + '-' + result.text == 'web-42'", "'b' in map(result.items, .name)",
	// Mistakes.
	"", " ", "result >", "result >= ", ">= 0.95", "result => 0.95", "result = 0.95", "result === 0.95", "results[0] >= 0.95", "Result[0] >= 0.95", "result[0] >= 0,95", "result[0] >= 95%", "result[0] >= '0.95'", "result >= \"0.95\"", "result[0", "result 0 >= 1", "result[0]] > 1", "(result[0] > 1", "result[0] > 1)", "result[] > 1", "result[\"0\"] > 1", "result[0.5] > 1", "result[a] > 1", "result.0 > 1", "result..x", "result[0] > 1 && ", "&& result[0] > 1", "result[0] > 1 & result[0] < 2", "result[0] > 1 | result[0] < 2",
	"result[0] AND true", "result[0] > 1 AND result[0] < 2", "true || foo", "false && bar(result)", "foo > 1", "foo(result) > 1", "{{args.x}} > 1", "len() > 0", "len(result, 1) > 0", "isNaN() || true", "isNaN(result, 1)", "default(result) < 1", "asInt() == 1", "asInt('x') == 1", "asFloat('x') == 1", "asInt('12') == 12", "asFloat('1.5') == 1.5", "asInt(true) == 1", "asInt(nil) == 1", "len(5) > 0", "len(nil) > 0",
	"result[0]", "len(result)", "'a'", "nil", "5", "[true]", "all(result, # + 1)", "filter(result, #)", "all(result)", "all(5, # > 1)", "all(result, foo > 1)", "true || result[9] > 1", "false && result[9] > 1", "true || result.a.b.c > 1", "true || result > 'x'", "'a' > 1", "1 == nil", "1 && true", "!1", "not 1", "-'a' == 1", "'a' * 2 == 'aa'", "[1] + [2] == [1, 2]",
	"[1] == [1.0]", "1 / 0 > 1", "1 % 0 == 0", "0.0 / 0.0 == 0.0", "9223372036854775807 + 1 > 0", "99999999999999999999 > 1", "2 ** 100 > 1", "5 / 2 == 2", "int('x') == 1", "float('x') == 1", "int(2.9) == 2", "int('7') == 7", "round(2.5) == 3", "round(-2.5) == -3", "0.1 + 0.2 == 0.3", "1e400 > 1", "len('é') == 1", "'abc'[0] == 'a'", "'abc'[1:] == 'bc'", "\"a\\tb\" contains '\\t'", "'it''s' == 'its'",
	"'\\u00e9' == 'é'",
}

// alone are conditions that use a vector of one sample as that sample, and the
// condition that says so with an index.
var alone = map[string]string{
	"result == \"up\"": "result[0] == \"up\"", "result == `up`": "result[0] == `up`", "result != 'down'": "result[0] != 'down'", "result == 'It works!'": "result[0] == 'It works!'", "result == 'true'": "result[0] == 'true'", "result == 'down'": "result[0] == 'down'",
	"result < 0.5": "result[0] < 0.5", "result > 5": "result[0] > 5",
	"result >= 0.95": "result[0] >= 0.95", "result > 0.95": "result[0] > 0.95", "result < 0.05": "result[0] < 0.05", "result <= 0.01": "result[0] <= 0.01",
	"result == 3": "result[0] == 3", "result == 3.0": "result[0] == 3.0", "result != 3": "result[0] != 3", "result == 0": "result[0] == 0", "result < 0.95": "result[0] < 0.95", "result > 10": "result[0] > 10",
	"0.95 <= result && result <= 1": "0.95 <= result[0] && result[0] <= 1", "isNaN(result)": "isNaN(result[0])", "!isNaN(result)": "!isNaN(result[0])",
	"isNaN(result) || result >= 0.95": "isNaN(result[0]) || result[0] >= 0.95", "isInf(result)": "isInf(result[0])", "!isInf(result) && result < 10": "!isInf(result[0]) && result[0] < 10",
	"result * 100 > 95": "result[0] * 100 > 95", "asInt(result) == 3": "asInt(result[0]) == 3", "asFloat(result) > 2.5": "asFloat(result[0]) > 2.5",
	"result + 1 == 4": "result[0] + 1 == 4", "result / 2 < 1": "result[0] / 2 < 1", "-result < 0": "-result[0] < 0", "not (result > 5)": "not (result[0] > 5)", "!(result > 5)": "!(result[0] > 5)",
	"result > 1 ? result < 5 : false": "result[0] > 1 ? result[0] < 5 : false", "(result) < 0.5": "result[0] < 0.5", "result ** 2 == 9": "result[0] ** 2 == 9", "result == 3 || result == 4": "result[0] == 3 || result[0] == 4",
	"result >= 1 and result <= 5": "result[0] >= 1 and result[0] <= 5", "if result == 3 { true } else { false }": "if result[0] == 3 { true } else { false }",
	"isNil(result) ? true : result < 0.05": "isNil(result) ? true : result[0] < 0.05",
	"result == true":                       "result[0] == true", "result == false": "result[0] == false", "result == 'up'": "result[0] == 'up'",
}

// costly are conditions beyond what Tidegate evaluates for one template.
var costly = []string{
	"len(0..100000) > 5", "all(0..5000, # >= 0)", "let a = 1; let b = a; let c = b; c == 1",
	"all(result, all(result, all(result, # > 0)))",
	"((((((((((((((((((1))))))))))))))))) == 1",
}

// unserved are conditions with functions and methods that Tidegate does not have.
var unserved = []string{
	"result[0] > 1; result[0] < 2",
	"toJSON(result) != ''", "fromJSON('1') == 1", "toBase64('a') == 'YQ=='", "fromBase64('YQ==') == 'a'",
	"now().Year() > 2000", "duration('1h').Hours() == 1", "date('2026-01-01').Year() == 2026", "string(timezone('UTC')) == 'UTC'",
}

// pairs are success and failure conditions that are used together.
var pairs = [][2]string{
	{"result[0] >= 0.95", "result[0] < 0.9"}, {"result[0] >= 0.95", "result[0] < 0.95"}, {"result[0] >= 0.95", "result[0] >= 0.95"},
	{"result[0] == 4", "result[0] == 3"}, {"result[0] > 0.5", "result[1] > 0.5"}, {"result >= 0.95", "result < 0.5"}, {"result == 3", "result > 5"},
	{"result.ok", "!result.ok"}, {"result.rate >= 0.99", "result.rate < 0.9"}, {"result.missing == nil", "result.rate > 1"}, {"len(result) == 0 || result[0] < 0.05", "len(result) > 0 && result[0] > 0.5"},
	{"isNaN(result[0]) || result[0] > 0.9", "!isNaN(result[0]) && result[0] < 0.1"}, {"all(result, # > 0)", "any(result, # > 100)"}, {"default(result, 0) < 1", "default(result, 0) > 5"}, {"true", "foo"}, {"foo", "true"}, {"result[0] >", "true"},
	{"result == 'up'", "result == 'down'"}, {"false", "false"}, {"true", "true"}, {"result[0] > 0", "result[0] < 0"}, {"!(result[0] > 0.05)", "result[0] > 0.5"}, {"len(result) > 0", "isNaN(result[0])"}, {"isNil(result)", "!isNil(result)"},
}
