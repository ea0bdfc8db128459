// node custom-resources.mjs < objects.json: judges objects of kinds that Kubernetes itself does not know, and prints what is wrong with
// each, [[...], ...]. The models say whether values are right, and their types, by the compiler, whether fields exist.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const KINDS = {
  'gateway.networking.k8s.io/v1 HTTPRoute': '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute',
  'monitoring.coreos.com/v1 PodMonitor': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor',
  'monitoring.coreos.com/v1 PrometheusRule': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule',
  'keda.sh/v1alpha1 ScaledObject': '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject',
};
const HERE = fileURLToPath(new URL('.', import.meta.url));
const COMPILER = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'esnext', '--module', 'nodenext'];

async function wrongValues(object, module) {
  const Model = (await import(module))[object.kind];
  try {
    new Model(object).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
}

async function unknownFields(object, module, directory, number) {
  const file = `${directory}/object-${number}.ts`;
  const json = JSON.stringify(object, null, 1);
  await writeFile(file, `import type { I${object.kind} } from '${module}';\nexport const object: I${object.kind} = ${json};\n`);
  try {
    await promisify(execFile)(`${HERE}node_modules/.bin/tsc`, [...COMPILER, file], { cwd: HERE });
    return [];
  } catch (error) {
    return (error.stdout || error.message).trim().split('\n');
  }
}

const objects = JSON.parse(await text(process.stdin));
// Beside the packages, where the compiler finds them.
const directory = await mkdtemp(`${HERE}node_modules/.objects-`);
try {
  const judged = objects.map(async (object, number) => {
    const module = KINDS[`${object.apiVersion} ${object.kind}`];
    if (!module) return [`no schema for ${object.apiVersion} ${object.kind}`];
    return [...(await wrongValues(object, module)), ...(await unknownFields(object, module, directory, number))];
  });
  console.log(JSON.stringify(await Promise.all(judged)));
} finally {
  await rm(directory, { recursive: true });
}
