import { PageTitle } from "../../components/PageTitle";

/** One person. */
export default function Person({ id }: { id: string }) {
  return <PageTitle title={id} />;
}
