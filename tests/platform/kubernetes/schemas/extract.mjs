// Writes crds.json: what fields the custom resources that k8s/ uses have, as JSON Schema that allows no others. Taken from the TypeScript
// types of the npm packages @kubernetes-models/*, which are generated from the operators' CustomResourceDefinitions. README.md says how.
//
//   node extract.mjs FOLDER_WITH_NODE_MODULES > crds.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const root = resolve(process.argv[2]);
const ts = createRequire(join(root, "package.json"))("typescript");
const modules = join(root, "node_modules");

const KINDS = [
  ["cert-manager", "cert-manager.io/v1", ["Certificate", "Issuer"]],
  ["cloudnative-pg", "postgresql.cnpg.io/v1", ["Cluster", "Database", "ScheduledBackup"]],
  ["external-secrets", "external-secrets.io/v1", ["ExternalSecret"]],
  ["gateway-api", "gateway.networking.k8s.io/v1", ["Gateway", "HTTPRoute"]],
  ["prometheus-operator", "monitoring.coreos.com/v1", ["PodMonitor", "PrometheusRule", "ServiceMonitor"]],
];

const files = KINDS.flatMap(([name, group, kinds]) =>
  kinds.map((kind) => join(modules, "@kubernetes-models", name, group, `${kind}.d.ts`)),
);
const program = ts.createProgram(files, {
  strict: true,
  noEmit: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: [],
});
const checker = program.getTypeChecker();
const definitions = {};
const names = new Map();

function schemaOf(type) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {};
  if (type.isUnion()) return unionOf(type.types.filter((part) => !(part.flags & ts.TypeFlags.Undefined)));
  if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value };
  if (type.flags & ts.TypeFlags.String) return { type: "string" };
  if (type.flags & ts.TypeFlags.Number) return { type: "number" };
  if (type.flags & ts.TypeFlags.BooleanLiteral) return { type: "boolean" };
  if (type.flags & ts.TypeFlags.Boolean) return { type: "boolean" };
  if (type.flags & ts.TypeFlags.Null) return { type: "null" };
  if (checker.isArrayType(type)) return { type: "array", items: schemaOf(checker.getTypeArguments(type)[0]) };
  if (type.isIntersection() || type.flags & ts.TypeFlags.Object) return objectOf(type);
  throw new Error(`No schema for ${checker.typeToString(type)}`);
}

function unionOf(parts) {
  const schemas = [...new Map(parts.map(schemaOf).map((schema) => [JSON.stringify(schema), schema])).values()];
  if (schemas.length === 1) return schemas[0];
  if (schemas.every((schema) => "const" in schema)) return { enum: schemas.map((schema) => schema.const) };
  return { anyOf: schemas };
}

function objectOf(type) {
  if (names.has(type)) return { $ref: `#/$defs/${names.get(type)}` };
  const own = type.symbol?.name?.startsWith("I") && type.symbol.flags & ts.SymbolFlags.Interface;
  if (!own) return fieldsOf(type);
  let name = type.symbol.name;
  for (let more = 2; name in definitions; more += 1) name = `${type.symbol.name}${more}`;
  names.set(type, name);
  definitions[name] = null;
  definitions[name] = fieldsOf(type);
  return { $ref: `#/$defs/${name}` };
}

function fieldsOf(type) {
  const schema = { type: "object", properties: {}, additionalProperties: false };
  const required = [];
  for (const field of checker.getPropertiesOfType(type)) {
    schema.properties[field.name] = schemaOf(checker.getTypeOfSymbol(field));
    if (!(field.flags & ts.SymbolFlags.Optional)) required.push(field.name);
  }
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  if (index) schema.additionalProperties = schemaOf(index.type);
  if (required.length) schema.required = required;
  return schema;
}

const kinds = {};
const versions = {};
for (const [name, group, list] of KINDS) {
  const about = JSON.parse(readFileSync(join(modules, "@kubernetes-models", name, "package.json"), "utf8"));
  versions[about.name] = about.version;
  for (const kind of list) {
    const source = program.getSourceFile(join(modules, "@kubernetes-models", name, group, `${kind}.d.ts`));
    const declared = source.statements.find((part) => ts.isInterfaceDeclaration(part) && part.name.text === `I${kind}`);
    const schema = schemaOf(checker.getTypeAtLocation(declared));
    const whole = "$ref" in schema ? definitions[schema.$ref.split("/").pop()] : schema;
    // What the operators write, not we.
    delete whole.properties.status;
    kinds[`${group} ${kind}`] = schema;
  }
}

// Only what a kind reaches.
const reached = new Set();
const visit = (schema) => {
  if (Array.isArray(schema)) schema.forEach(visit);
  else if (schema && typeof schema === "object") {
    if (typeof schema.$ref === "string") {
      const name = schema.$ref.split("/").pop();
      if (!reached.has(name)) {
        reached.add(name);
        visit(definitions[name]);
      }
    }
    Object.values(schema).forEach(visit);
  }
};
visit(kinds);
const kept = Object.fromEntries([...reached].sort().map((name) => [name, definitions[name]]));
console.log(JSON.stringify({ versions, kinds, $defs: kept }));
