#!/usr/bin/env bash
# Fetches exactly the jars of a table (group:artifact:version sha256) and compares each: `ivy.sh IVY_JAR TABLE FOLDER`.
set -euo pipefail
ivy=$1 table=$2 folder=$3
work=$(mktemp -d)
# without the poms: the table names every jar
cat >"$work/settings.xml" <<END
<ivysettings><settings defaultResolver="maven"/>
<resolvers><ibiblio name="maven" m2compatible="true" usepoms="false"/></resolvers></ivysettings>
END
{
  printf '<ivy-module version="2.0"><info organisation="fruits" module="s3a"/><dependencies>\n'
  sed -nE 's|^([^:#]+):([^:]+):(\S+) .*|<dependency org="\1" name="\2" rev="\3" transitive="false" conf="default->default"/>|p' "$table"
  printf '</dependencies></ivy-module>\n'
} >"$work/ivy.xml"
java -jar "$ivy" -settings "$work/settings.xml" -ivy "$work/ivy.xml" -cache "$work/cache" -warn \
  -retrieve "$folder/[artifact]-[revision].[ext]"
cd "$folder"
sed -nE 's|^[^:#]+:([^:]+):(\S+) +([0-9a-f]{64})$|\3  \1-\2.jar|p' "$table" >"$work/sums"
sha256sum --quiet --strict -c "$work/sums"
[[ $(find . -name '*.jar' | wc -l) == $(wc -l <"$work/sums") ]]
rm -rf "$work"
